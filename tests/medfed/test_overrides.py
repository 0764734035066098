"""Changing keys of a scenario, from the command line and from Python, and what is said of faults. Oracle: by hand."""

from pathlib import Path
from typing import Any

import pytest

from medfed.config import load_scenario, parse_scenario, to_dict
from medfed.errors import ScenarioError
from medfed.models.small_cnn import SmallCNN
from tests.medfed.trial import BASE, TEXT


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.rounds=7", "training.rounds", 7),
        (" training.rounds = 7 ", "training.rounds", 7),
        ("federation.quorum=0.25", "federation.quorum", 0.25),
        ("federation.quorum=1e-1", "federation.quorum", 0.1),
        ("baselines.local=false", "baselines.local", False),
        ("name=other", "name", "other"),
        ("name='other'", "name", "other"),
        ('data.sites=["a", "b c"]', "data.sites", ["a", "b c"]),
        ("data.sites=[]", "data.sites", []),
        ("record.rounds=[1, -1]", "record.rounds", [1, -1]),
        ("model=resnet18", "model.name", "resnet18"),
        ("model={name='small_cnn', width=3}", "model.width", 3),
        ("model.width=3", "model.width", 3),  # inside a plug-in given by its bare name
        ("training.optimizer.name=sgd", "training.optimizer.name", "sgd"),
        ("training.loss.class_weights=[1.0, 2.5]", "training.loss.class_weights", [1.0, 2.5]),
        ("training.optimizer.lr=0.5", "training.optimizer.lr", 0.5),  # inside a plug-in that is there by default
        ("federation.strategy.weighting=uniform", "federation.strategy.weighting", "uniform"),
        ("federation.strategy={weighting='uniform'}", "federation.strategy.name", "fedavg"),
        ("training.transforms=['noise']", "training.transforms.0.name", "noise"),
        ("data.columns.patient=lesion", "data.columns.patient", "lesion"),
        ("evaluation.headline=accuracy", "evaluation.headline", "accuracy"),
    ],
)
def test_an_override(file: Path, override: str, key: str, value: Any) -> None:
    found: Any = to_dict(load_scenario(file, (override,)))
    for part in key.split("."):
        found = found[int(part)] if part.isdigit() else found[part]
    assert (found, type(found)) == (value, type(value))


def test_a_table_without_a_name_needs_one_where_there_is_no_default(file: Path) -> None:
    with pytest.raises(ScenarioError, match=r'"training\.loss": needs a name'):
        load_scenario(file, ("training.loss={smooth=1.0}",))


def test_the_last_of_equal_overrides_holds(file: Path) -> None:
    assert load_scenario(file, ("training.rounds=7", "training.rounds=3")).training.rounds == 3


def test_an_override_of_one_measure_of_work_drops_the_other(file: Path) -> None:
    training = load_scenario(file, ("training.local_steps=5",)).training
    assert (training.local_epochs, training.local_steps) == (None, 5)
    back = BASE.replace(**{"training.local_steps": 5}).replace(**{"training.local_epochs": 1}).training
    assert (back.local_epochs, back.local_steps) == (1, None)


def test_overrides_of_both_measures_of_work_are_refused(file: Path) -> None:
    with pytest.raises(ScenarioError, match="got both"):
        load_scenario(file, ("training.local_steps=5", "training.local_epochs=1"))


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("resamples=200", "evaluation.resamples=200"),
        ("strategy.weighting=uniform", "federation.strategy.weighting=uniform"),
        ("strategy={name='fedavg', weighting='uniform'}", "federation.strategy={name='fedavg', weighting='uniform'}"),
        ("columns.patient=lesion", "data.columns.patient=lesion"),
        ("local_steps=5", "training.local_steps=5"),
        ("optimizer.lr=0.5", "training.optimizer.lr=0.5"),
    ],
)
def test_a_table_that_alone_has_the_key_may_be_left_out(file: Path, short: str, full: str) -> None:
    assert load_scenario(file, (short,)) == load_scenario(file, (full,))


@pytest.mark.parametrize(
    ("override", "candidates"),
    [
        ("batch_size=3", ["training.batch_size", "evaluation.batch_size"]),
        ("sites=['a']", ["data.sites", "federation.sites"]),
    ],
)
def test_a_key_that_is_short_for_several_names_them(file: Path, override: str, candidates: list[str]) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(file, (override,))
    (line,) = str(caught.value).splitlines()
    assert all(f'"{candidate}"' in line for candidate in candidates)


def test_another_plug_in_has_none_of_the_old_ones_fields(file: Path) -> None:
    """The lr of the file was AdamW's and is dropped; what is given in the same command holds, in any order."""
    adamw = "training.optimizer={name='adamw', lr=0.5, weight_decay=0.25}"
    file.write_text(file.read_text() + "optimizer = { name = 'adamw', lr = 0.5, weight_decay = 0.25 }\n")
    same = load_scenario(file, ("optimizer.name=adamw",)).training.optimizer
    assert same == load_scenario(file, (adamw,)).training.optimizer
    momentum = ("optimizer.momentum=0.5", "optimizer.name=sgd")
    for changes in (momentum, momentum[::-1]):
        found = to_dict(load_scenario(file, changes))["training"]["optimizer"]
        default = to_dict(load_scenario(file, ("training.optimizer=sgd",)))["training"]["optimizer"]
        assert found == default | {"momentum": 0.5}
    scenario = load_scenario(file)
    assert scenario.replace(**{"training.optimizer.name": "sgd"}).training.optimizer.lr != 0.5


def test_the_default_plug_in_by_its_name_is_no_other(file: Path) -> None:
    file.write_text(file.read_text() + "optimizer = { lr = 0.5 }\n")
    assert load_scenario(file, ("optimizer.name=adamw",)).training.optimizer.lr == 0.5


@pytest.mark.parametrize("override", ["training.rounds", "=3", "training..rounds=3", "training.rounds.=3", "a b=3", ""])
def test_an_override_needs_key_and_value(file: Path, override: str) -> None:
    with pytest.raises(ScenarioError, match="expected KEY=VALUE"):
        load_scenario(file, (override,))


def test_text_that_only_looks_like_toml_does_not_slip_in_further_keys(file: Path) -> None:
    with pytest.raises(ScenarioError, match=r'key "training\.rounds"'):
        load_scenario(file, ("training.rounds=3\nseed = 5",))


def test_replace_changes_a_copy_and_validates_it() -> None:
    changed = BASE.replace(seed=5, **{"model.width": 3, "data.sites": ("a",)})
    assert (changed.seed, changed.model, changed.data.sites) == (5, SmallCNN(width=3), ("a",))
    assert parse_scenario(TEXT) == BASE
    with pytest.raises(ScenarioError, match=r"training\.rounds.*got 0"):
        BASE.replace(**{"training.rounds": 0})


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("sead=1", "seed"),
        ("training.round=1", "training.rounds"),
        ("data.colums.patient=a", "data.columns"),
        ("data.columns.pateint=a", "data.columns.patient"),
        ("model.widht=3", "model.width"),
        ("data.partition={name='dirichlet', num_site=3, alpha=1.0}", "data.partition.num_sites"),
        ("training.transforms=[{name='affine', degree=3.0}]", "training.transforms.0.degrees"),
        ("resample=200", "evaluation.resamples"),
        ("stratgy.name=fedavg", "federation.strategy.name"),
        ("data.rounds=3", "training.rounds"),
        ("training.loss=crossentropy", "cross_entropy"),
        ("training.optimizer.name=adam_w", "adamw"),
    ],
)
def test_the_nearest_known_key_or_name_is_told(file: Path, override: str, near: str) -> None:
    with pytest.raises(ScenarioError, match=f'did you mean "{near}"'):
        load_scenario(file, (override,))


def test_a_key_of_that_name_in_other_tables_is_told_before_one_that_looks_like_it(file: Path) -> None:
    with pytest.raises(ScenarioError, match=r'did you mean "training\.rounds" or "record\.rounds"\?'):
        load_scenario(file, ("rounds=3",))

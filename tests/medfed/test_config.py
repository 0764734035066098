"""The scenario as a value. Oracles: inverse (TOML and back), by hand, closed form."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from medfed.config import Scenario, load_scenario, parse_scenario, to_dict
from medfed.errors import ScenarioError
from medfed.models.small_cnn import SmallCNN

TEXT = """
name = "trial"
task = { kind = "classification", classes = ["normal", "pneumonia"] }
model = "small_cnn"

[data]
path = "images/labels.csv"
image_size = 28

[training]
rounds = 4
local_epochs = 2
batch_size = 8
loss = "cross_entropy"
transforms = ["flip", { name = "affine", degrees = 5.0 }]
"""

BASE = parse_scenario(TEXT)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "scenarios" / "trial.toml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path


# ---------------------------------------------------------------------------------------------- TOML and back

names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20)
reals = st.floats(1e-9, 1.0, exclude_min=True)
plugins = st.fixed_dictionaries(
    {
        "model": st.one_of(
            st.builds(lambda width, norm: {"name": "small_cnn", "width": width, "norm": norm},
                      st.integers(1, 99), st.sampled_from(["group", "batch"])),
            st.just("resnet18"),
        ),
        "training.loss": st.builds(
            lambda weights, mass: {"name": "cross_entropy", "class_weights": weights, "label_smoothing": mass},
            st.one_of(st.sampled_from(["none", "balanced"]), st.tuples(reals, reals)), st.floats(0.0, 0.99),
        ),
        "training.optimizer": st.builds(lambda lr: {"name": "adamw", "lr": lr}, reals),
        "training.transforms": st.lists(st.sampled_from(["flip", {"name": "cutout"}, "noise"]), max_size=3).map(tuple),
        "federation.strategy": st.sampled_from(["fedavg", {"name": "fedavg", "weighting": "uniform"}]),
        "data.partition": st.builds(
            lambda sites, alpha: {"name": "dirichlet", "num_sites": sites, "alpha": alpha}, st.integers(2, 9), reals
        ),
    }
)  # fmt: skip
plain = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**63 - 1),
        "task.classes": st.lists(names, min_size=2, max_size=2, unique=True).map(tuple),
        "data.path": st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20),
        "federation.leave_out": st.lists(names, max_size=3, unique=True).map(tuple),
        "federation.quorum": reals,
        "engine.deterministic": st.booleans(),
        "record.rounds": st.lists(st.sampled_from([1, 2, -1, -4]), max_size=3, unique=True).map(tuple),
    }
)


@given(plugins, plain)
def test_a_scenario_written_as_toml_is_the_same_scenario(
    plugin_changes: dict[str, Any], changes: dict[str, Any]
) -> None:
    scenario = BASE.replace(**plugin_changes, **changes)
    again = parse_scenario(scenario.to_toml())
    assert again == scenario
    assert again.to_toml() == scenario.to_toml()


@pytest.mark.parametrize("name", ["pneumonia-cnn", "nuclei-unet", "skin-cnn", "wbc-unet"])
def test_bundled_scenarios_survive_the_journey(repository: Path, name: str) -> None:
    scenario = load_scenario(repository / "simulations" / "scenarios" / f"{name}.toml")
    assert parse_scenario(scenario.to_toml()) == scenario
    assert scenario.name == name


def test_every_default_is_written_out() -> None:
    written = tomllib.loads(BASE.to_toml())
    assert written["model"] == {"name": "small_cnn", **dataclasses.asdict(SmallCNN())}
    assert written["training"]["optimizer"]["name"] == "adamw"
    assert written["federation"]["quorum"] == 0.5
    assert "local_steps" not in written["training"]  # null has no TOML; absent means the same


# -------------------------------------------------------------------------------------------------- overrides


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


# --------------------------------------------------------------------------------- faults, paths, derived values


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
        ("training.loss=crossentropy", "cross_entropy"),
        ("training.optimizer.name=adam_w", "adamw"),
    ],
)
def test_the_nearest_known_key_or_name_is_told(file: Path, override: str, near: str) -> None:
    with pytest.raises(ScenarioError, match=f'did you mean "{near}"'):
        load_scenario(file, (override,))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", "1"),
        ("seed", 1.0),
        ("seed", True),
        ("name", 3),
        ("data.image_size", "28"),
        ("data.channels", "1"),
        ("data.channels", True),
        ("federation.quorum", "0.5"),
        ("federation.quorum", True),
        ("baselines.local", 1),
        ("baselines.local", "true"),
        ("task.classes", "ab"),
        ("task.classes", (1, 2)),
        ("record.rounds", (1.0,)),
        ("model.width", 3.0),
        ("model.width", "3"),
        ("training.optimizer.lr", "0.1"),
        ("training.transforms", "flip"),
        ("engine.workers", False),
        ("data.channels", 1.0),
        ("federation.quorum", float("nan")),
        ("training.optimizer.lr", float("inf")),
    ],
)
def test_nothing_is_coerced(key: str, value: Any) -> None:
    with pytest.raises(ScenarioError, match=key.replace(".", r"\.")):
        BASE.replace(**{key: value})


def test_a_relative_path_starts_at_the_scenario_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = str((file.parent / "images" / "labels.csv").resolve())
    assert load_scenario(file).data.path == expected
    monkeypatch.chdir(file.parent)
    assert load_scenario(file.name).data.path == expected
    assert load_scenario(file, ("data.path='../x.csv'",)).data.path == str(file.parent.parent.resolve() / "x.csv")


@pytest.mark.parametrize("path", ["/far/away/labels.csv", "package:medfed/data/samples/nuclei/labels.csv", ""])
def test_other_paths_stay_as_they_are(file: Path, path: str) -> None:
    assert load_scenario(file, (f"data.path='{path}'",)).data.path == path


def test_what_travels_holds_no_path(file: Path) -> None:
    scenario = load_scenario(file)
    text = scenario.travelling().to_toml()
    assert str(file.parent) not in text
    assert "labels.csv" not in text
    assert parse_scenario(text) == scenario.replace(**{"data.path": ""})


@given(st.integers(1, 50), st.data())
def test_recorded_rounds_count_from_the_end_as_list_indices_do(rounds: int, data: st.DataObject) -> None:
    """Closed form: -k is the round [1, ..., rounds][-k]."""
    wanted = st.integers(-rounds, rounds).filter(bool)
    numbers = tuple(data.draw(st.lists(wanted, max_size=5, unique=True)))
    scenario = BASE.replace(**{"training.rounds": rounds, "record.rounds": numbers})
    order = list(range(1, rounds + 1))
    assert scenario.recorded_rounds == {order[number] if number < 0 else number for number in numbers}


@pytest.mark.parametrize("number", [0, 5, -5])
def test_a_recorded_round_lies_inside_the_run(number: int) -> None:
    with pytest.raises(ScenarioError, match=r"record\.rounds.*1 to 4"):
        BASE.replace(**{"record.rounds": (number,)})


SEGMENTATION = {"task.kind": "segmentation", "model": "unet", "training.loss": "dice"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "auroc"),
        ({"evaluation.headline": "accuracy"}, "accuracy"),
        (SEGMENTATION, "dice"),
        (SEGMENTATION | {"evaluation.headline": "iou"}, "iou"),
    ],
)
def test_headline(changes: dict[str, Any], expected: str) -> None:
    assert BASE.replace(**changes).headline == expected


def test_several_misfits_are_one_line_each() -> None:
    with pytest.raises(ScenarioError) as caught:
        BASE.replace(**{"model": "unet", "training.loss": "dice", "evaluation.headline": "iou"})
    lines = str(caught.value).splitlines()
    assert [line.split('"')[1] for line in lines] == ["evaluation.headline", "model", "training.loss"]


def test_a_scenario_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        BASE.seed = 2  # type: ignore[misc]
    assert isinstance(hash(BASE.training.rounds), int)
    assert isinstance(BASE, Scenario)

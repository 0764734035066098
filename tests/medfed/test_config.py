"""The scenario as a value. Oracles: inverse (TOML and back), by hand, closed form."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from medfed.config import Scenario, load_scenario, parse_scenario
from medfed.errors import ScenarioError
from medfed.models.small_cnn import SmallCNN
from tests.medfed.trial import BASE

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

"""What a process keeps between messages and runs: data and scores. Oracles: identity, counts, a first call."""

from typing import Any

import pytest
import torch
from flwr.app import Context, RecordDict

from client import scored as scoring
from client.scored import scored
from client.site import site_data
from medfed.config import Scenario, parse_scenario
from medfed.data.location import resolve_path
from medfed.models.initial import initial_weights
from medfed.training.evaluation import evaluate
from tests.simulations.conftest import FEW


def tiny(**changes: Any) -> Scenario:
    return parse_scenario(FEW).replace(**{"evaluation.resamples": 100, **changes})


def context(scenario: Scenario, site: str = "site-01", run: int = 1, **config: str) -> Context:
    data = str(resolve_path(scenario.data.path))
    return Context(run, 2, {"site": site, "data": data, **config}, RecordDict(), {})


def test_runs_that_differ_elsewhere_share_data_that_are_read_once() -> None:
    """Naive: the whole scenario is the key, so that a process of many runs reads, and keeps, the data of each."""
    first, other = tiny(), tiny(**{"training.rounds": 9, "federation.strategy": "fedadam"})
    assert site_data(context(first), first) is site_data(context(other), other)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": 2}, {}),
        ({"data.partition.alpha": 0.4}, {}),
        ({"data.image_size": 14}, {}),
        ({}, {"run": 2}),
        ({}, {"data-digest": "of other images"}),
    ],
)
def test_whatever_decides_the_data_reads_them_anew(changes: dict[str, Any], told: dict[str, Any]) -> None:
    """A deployment has a number for each run; a simulation says what the data were when it began."""
    first, other = tiny(), tiny(**changes)
    assert site_data(context(first), first) is not site_data(context(other, **told), other)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images were scored by each evaluation that was computed."""
    scoring._last.cache_clear()
    calls: list[int] = []

    def counting(model: Any, images: Any, *rest: Any) -> Any:
        calls.append(len(images))
        return evaluate(model, images, *rest)

    monkeypatch.setattr(scoring, "evaluate", counting)
    return calls


def test_sites_that_share_their_test_images_are_scored_once(computed: list[int]) -> None:
    scenario = tiny()
    weights = initial_weights(scenario)
    sets = [site_data(context(scenario, site), scenario).test for site in ("site-01", "site-02")]
    first, second = (scored(weights, images, scenario, True) for images in sets)
    assert first == second
    assert len(computed) == 1
    scoring._last.cache_clear()
    assert scored(weights, sets[1], scenario, True) == first, "as each would be by itself"


def test_other_weights_images_settings_or_devices_are_scored_anew(
    computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Naive: the last scores for whoever asks. Bits differ between devices."""
    scenario = tiny()
    weights, data = initial_weights(scenario), site_data(context(scenario), scenario)
    moved = {name: value + 1 if value.is_floating_point() else value for name, value in weights.items()}
    other = tiny(**{"evaluation.resamples": 101})
    for asked in (
        (weights, data.test, scenario, True),
        (moved, data.test, scenario, True),
        (moved, data.val, scenario, True),
        (moved, data.val, scenario, False),
        (moved, data.val, other, False),
    ):
        scored(*asked)
    assert len(computed) == 5
    monkeypatch.setattr(scoring, "current_device", lambda: torch.device("cuda"))
    scored(moved, data.val, other, False)
    assert len(computed) == 6


def test_sites_with_images_of_their_own_are_scored_each(computed: list[int]) -> None:
    """Weights are not even looked at."""
    scenario = tiny()
    data = site_data(context(scenario), scenario)
    natural = scenario.replace(**{"data.partition": "natural"})
    for _ in range(2):
        scored(initial_weights(scenario), data.test, natural, False)
    assert len(computed) == 2

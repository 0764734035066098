"""The membership benchmark. Oracles: a linear model on noise, which knows by heart whatever it knows; the bound that
epsilon and delta set on every attack, which a model without noise breaks; laws of halves."""

import argparse

import pytest

from medfed.config import Scenario, parse_scenario
from medfed.types import ImageSet
from privacy.accountants import TIGHTEST
from privacy.accountants.contract import Composition, Steps
from privacy.membership.promise import largest_tpr
from simulations.benchmarks.membership import best, epsilon_of, halves, material, promise, signals
from tests.privacy.membership.noise_run import SCENARIO, write_images
from tests.privacy.membership.worlds import gaussian_world

FPR, NOISE, STEPS, IMAGES = 0.1, 24.0, 20, 120


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    folder = tmp_path_factory.mktemp("noise")
    write_images(folder / "noise.npz")
    changes = {"training.local_steps": STEPS, "record.rounds": ()}
    return parse_scenario(SCENARIO.format(path=folder / "noise.npz")).replace(**changes)


@pytest.fixture(scope="module")
def images(scenario: Scenario) -> ImageSet:
    return material(scenario, IMAGES)


def test_halves_of_a_pair_of_shadows_are_complements() -> None:
    parts = halves(parse_scenario(SCENARIO.format(path="none.npz")), 10, 4)
    assert [int(part.sum()) for part in parts] == [5] * 5
    assert (parts[1] == ~parts[2]).all()
    assert (parts[3] == ~parts[4]).all()
    assert not (parts[1] == parts[3]).all()


def test_no_two_images_are_of_one_patient(images: ImageSet) -> None:
    assert len(images) == IMAGES == len(set(images.patients))


def test_private_training_keeps_its_promise_and_training_without_noise_breaks_it(
    scenario: Scenario, images: ImageSet
) -> None:
    mechanism = {"name": "dp_sgd", "clip": 1.0, "noise_multiplier": NOISE}
    private = scenario.replace(**{"privacy.mechanism": mechanism})
    epsilon = epsilon_of(private, IMAGES // 2)
    rate = scenario.training.batch_size / (IMAGES // 2)
    replaced = Composition((Steps(NOISE / 2, rate, STEPS),), replace=True)  # two contributions are two lengths apart
    assert epsilon == pytest.approx(TIGHTEST(replaced, 1e-5))
    bound = largest_tpr(epsilon, private.privacy.delta, FPR)
    parts = halves(scenario, IMAGES, 4)
    (kept, blind), (broken, fit) = (signals(each, images, parts) for each in (private, scenario))
    found, learned = (best(seen, parts[0], FPR) for seen in (kept, broken))
    assert bound < 0.3
    assert found.interval.low is not None
    assert found.interval.low <= found.share <= bound
    assert learned.share > 0.9
    assert blind < 0.1 < 0.9 < fit


def test_a_bound_that_says_hardly_anything_is_named_vacuous_and_is_no_goal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one step: at a noise multiplier of 0.3 the bound allows everything, at 24 hardly more than chance."""
    blind, _ = gaussian_world(40, 4, 0.0, spread=1.0, seed=0)
    monkeypatch.setattr("simulations.benchmarks.membership.material", lambda scenario, number: range(number))
    monkeypatch.setattr("simulations.benchmarks.membership.signals", lambda scenario, images, parts: (blind, 0.25))
    given = argparse.Namespace(private_steps=1, images=40, shadows=4)
    vacuous, bound = promise(given, 0.3, 1), promise(given, 24.0, 1)
    assert vacuous.goal is None
    assert vacuous.holds is None
    assert bound.goal is not None
    assert FPR < bound.goal < 0.2
    first, second = capsys.readouterr().out.splitlines()
    assert "vacuous" in first
    assert "vacuous" not in second
    assert "(replace)" in second
    assert "training fit 0.25" in second

"""The membership benchmark. Oracles: a linear model on noise, which knows by heart whatever it knows; the bound that
epsilon and delta set on every attack, which a model without noise breaks; laws of halves."""

import pytest

from medfed.config import Scenario, parse_scenario
from medfed.types import ImageSet
from privacy.accountants import TIGHTEST
from privacy.accountants.contract import Composition, Steps
from privacy.membership.promise import largest_tpr
from simulations.benchmarks.membership import best, epsilon_of, halves, material, signals
from tests.privacy.membership.noise_run import SCENARIO, write_images

FPR, NOISE, STEPS, IMAGES = 0.1, 8.0, 20, 120


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
    epsilon = epsilon_of(private, IMAGES // 2, NOISE)
    rate = scenario.training.batch_size / (IMAGES // 2)
    assert epsilon == pytest.approx(TIGHTEST(Composition((Steps(NOISE, rate, STEPS),), False), 1e-5))
    bound = largest_tpr(epsilon, private.privacy.delta, FPR)
    parts = halves(scenario, IMAGES, 4)
    kept, broken = (best(signals(each, images, parts), parts[0], FPR) for each in (private, scenario))
    assert bound < 0.5
    assert kept.interval.low is not None
    assert kept.interval.low <= kept.share <= bound
    assert broken.share > bound

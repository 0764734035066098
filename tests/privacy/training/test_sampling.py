"""Coins: their rate, their independence, and the units they are thrown for. Oracles: binomial law, by hand, foils."""

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from medfed.rng import numpy_generator
from medfed.training.local import batches
from medfed.types import ImageSet
from privacy.training.randomness import seeded_randomness, system_randomness, system_uniform
from privacy.training.sampling import poisson_steps, sampling_rate
from privacy.training.units import num_units, units_of


def steps(num_units: int, batch_size: int, num_steps: int, seed: int = 1) -> list[list[int]]:
    units = [np.array([i]) for i in range(num_units)]
    rate = sampling_rate(batch_size, num_units)
    drawn = poisson_steps(units, rate, num_steps, numpy_generator(seed, "coins").random)
    return [[int(unit[0]) for unit in step] for step in drawn]


def test_every_unit_is_drawn_at_the_rate_and_batches_vary_as_coins_do():
    found = steps(50, 10, 2000)
    counts = np.bincount(np.concatenate(found), minlength=50)
    assert all(binomtest(int(count), 2000, 0.2).pvalue > 1e-6 for count in counts)
    sizes = np.array([len(step) for step in found])
    square = ((sizes - 10) ** 2).sum() / (50 * 0.2 * 0.8)
    low, high = chi2.ppf([1e-6, 1 - 1e-6], len(sizes))
    assert low < square < high


def test_shuffled_epochs_are_another_distribution():
    """Foil: local epochs give every image once per epoch and batches of one size, whatever is said of them."""
    shuffled = list(batches(50, 10, 100, np.random.default_rng(1)))
    assert {len(batch) for batch in shuffled} == {10}
    assert all(sorted(np.concatenate(shuffled[i : i + 5])) == list(range(50)) for i in range(0, 100, 5))
    ours = steps(50, 10, 100)
    assert len({len(batch) for batch in ours}) > 5
    inside = [np.bincount(np.concatenate(ours[i : i + 5]).astype(int), minlength=50) for i in range(0, 100, 5)]
    assert np.max(inside) > 1
    assert np.min(inside) == 0


def test_empty_steps_are_steps():
    found = steps(3, 1, 500)
    assert len(found) == 500
    empty = sum(not step for step in found)
    assert binomtest(empty, 500, (2 / 3) ** 3).pvalue > 1e-6


def test_the_others_coins_do_not_depend_on_one_unit():
    """With known coins: taking away the last of the units leaves all others where they were, in one step."""
    (with_last,) = steps(10, 5, 1)
    units = [np.array([i]) for i in range(9)]
    (without,) = poisson_steps(units, 0.5, 1, numpy_generator(1, "coins").random)
    assert [i for i in with_last if i < 9] == [int(unit[0]) for unit in without]


@pytest.mark.parametrize(("batch_size", "number", "rate"), [(10, 50, 0.2), (64, 64, 1.0), (64, 10, 1.0)])
def test_no_more_are_expected_than_there_are(batch_size, number, rate):
    assert sampling_rate(batch_size, number) == rate
    if rate == 1.0:
        assert steps(number, batch_size, 2) == [list(range(number))] * 2


def images(patients: list[str]) -> ImageSet:
    rows = np.arange(len(patients), dtype=np.int64)
    pixels = np.zeros((len(patients), 1, 2, 2), np.uint8)
    return ImageSet(pixels, np.zeros(len(patients), np.int64), rows, tuple(patients), tuple(map(str, rows)))


def test_units_are_images_or_patients():
    found = images(["b", "a", "b", "c", "a", "b"])
    assert [list(unit) for unit in units_of(found, "record")] == [[i] for i in range(6)]
    assert [list(unit) for unit in units_of(found, "patient")] == [[0, 2, 5], [1, 4], [3]]
    assert (num_units(found, "record"), num_units(found, "patient")) == (6, 3)


def test_the_systems_coins_are_uniform_and_nobody_can_repeat_them():
    draws = system_uniform(20_000)
    assert ((draws >= 0.0) & (draws < 1.0)).all()
    observed = np.histogram(draws, bins=20, range=(0.0, 1.0))[0]
    assert ((observed - 1000) ** 2 / 1000).sum() < chi2.ppf(1 - 1e-6, 19)
    one, other = system_randomness(), system_randomness()
    assert one.layers != other.layers
    assert one.transforms.initial_seed() != other.transforms.initial_seed()
    assert list(one.uniform(4)) != list(other.uniform(4))
    assert list(one.normal(4)) != list(other.normal(4))


def test_seeded_draws_are_of_site_and_round():
    def draws(site: str, number: int) -> tuple[float, ...]:
        found = seeded_randomness(1, site, number)
        return (*found.uniform(2), *found.normal(2), float(found.layers), float(found.transforms.initial_seed()))

    assert draws("a", 1) == draws("a", 1)
    assert not set(draws("a", 1)) & set(draws("a", 2))
    assert not set(draws("a", 1)) & set(draws("b", 1))

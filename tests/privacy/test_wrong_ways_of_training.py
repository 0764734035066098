"""Wrong ways 6 to 12 of twelve to be private that are in use, each beside what is done here: steps and accounts.

Every test states one property. The wrong way, written out, breaks it; the code of this project keeps it. The wrong
ways are in use: 6 in Flower's example with Opacus, 11 wherever a shuffling loader is accounted for as Poisson sampling
(Chua et al., ICML 2024). Oracles: closed forms, counts by hand, the property itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from medfed.config import Scenario, parse_scenario
from medfed.messages import SiteInfo
from medfed.training.local import batches
from medfed.types import Weights
from privacy.gaussian import gaussian_epsilon
from privacy.ledger.budget import spent
from privacy.noise import Normal, seeded_normal
from privacy.release import Release, total_epsilon
from privacy.training.clipping import chunked_clipper
from privacy.training.sampling import poisson_steps, sampling_rate
from privacy.training.step import noisy_mean
from server.federation import asked_sites
from server.releases import spent as spent_by_all

TEXT = """
    name = "private"
    model = { name = "small_cnn", width = 1 }
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 8 }
    training = { rounds = 3, local_steps = 1, batch_size = 16, loss = "cross_entropy" }
    federation = { sites = ["s0", "s1", "s2"] }
    [privacy]
    mechanism = { name = "dp_sgd", clip = 1.0, noise_multiplier = 1.1 }
"""


def silent(number: int) -> np.ndarray:
    return np.zeros(number)


def scenario(**changes: Any) -> Scenario:
    return parse_scenario(TEXT).replace(**changes)


def steps_of(rounds: int) -> list[Release]:
    """N = 1000, batches of 32, one pass a round, noise multiplier 1 (docs/ledger.md)."""
    return [Release("gaussian", 1.0, 1.0, 0.032, 32, "record", "add_remove", number) for number in range(1, rounds + 1)]


def test_6_a_new_accountant_per_round():
    """Each further round must cost something more."""

    def wrong(releases: Sequence[Release]) -> float:
        return total_epsilon(releases[-1:], 1e-4)

    def right(releases: Sequence[Release]) -> float:
        return spent(releases, "record", 1e-4, relation="add_remove")

    told = [wrong(steps_of(rounds)) for rounds in (1, 2, 50)]
    assert told[0] == told[1] == told[2] == pytest.approx(1.15, abs=0.01)
    true = [right(steps_of(rounds)) for rounds in (1, 2, 50)]
    assert true[0] < true[1] < true[2] == pytest.approx(7.42, abs=0.01)


def test_7_epsilon_is_summed_over_rounds():
    """What fifty rounds cost is 7.42 by two accountants of others; eight times as much is no statement."""

    def wrong(releases: Sequence[Release]) -> float:
        return sum(total_epsilon([release], 1e-4) for release in releases)

    assert wrong(steps_of(50)) == pytest.approx(57.5, abs=0.5)
    assert spent(steps_of(50), "record", 1e-4, relation="add_remove") == pytest.approx(7.42, abs=0.01)


def test_8_epsilon_is_summed_over_sites_with_other_patients():
    """Removing one image changes what one site releases and nothing else: it costs what that site's releases cost."""
    one = scenario()
    known = {
        site: SiteInfo(site, count, 1, 1, (count, 0), 0) for site, count in (("s0", 400), ("s1", 100), ("s2", 200))
    }
    asked = asked_sites(one, 3)
    alone = [spent_by_all(one, {site: info}, asked) for site, info in known.items()]
    wrong = sum(alone)
    found = spent_by_all(one, known, asked)
    assert found == max(alone)
    assert wrong > 1.5 * max(alone)


def test_9_an_empty_batch_is_skipped():
    """A step must not tell that nobody was drawn: its outcome has noise, and it is counted."""
    zero = {"a": torch.zeros(50)}

    def wrong(drawn: Sequence[Any], normal: Normal) -> Weights | None:
        return noisy_mean(zero, 1.0, 1.0, 4.0, normal) if drawn else None

    def right(drawn: Sequence[Any], normal: Normal) -> Weights | None:
        return noisy_mean(zero, 1.0, 1.0, 4.0, normal)

    units = [np.array([i]) for i in range(3)]
    drawn = list(poisson_steps(units, 1e-9, 20, np.random.default_rng(1).random))
    assert drawn == [[]] * 20, "all twenty steps are there, and empty"
    normal = seeded_normal(1, "n")
    assert [wrong(step, normal) for step in drawn] == [None] * 20
    outcomes = [right(step, normal) for step in drawn]
    assert all(outcome is not None and float(outcome["a"].std()) > 0.1 for outcome in outcomes)


def test_10_division_by_the_actual_batch_size():
    """One unit may move a step by C / (q N) at most, whoever else was drawn."""
    ours, other = torch.tensor([1.0]), torch.tensor([-1.0])
    expected = 10.0

    def moved(mean: Callable[[list[Tensor]], Tensor]) -> float:
        return abs(float(mean([other, ours]) - mean([other])))

    def wrong(drawn: list[Tensor]) -> Tensor:
        return torch.stack(drawn).sum(0) / len(drawn)

    def right(drawn: list[Tensor]) -> Tensor:
        return noisy_mean({"a": torch.stack(drawn).sum(0)}, 1.0, 1.0, expected, silent)["a"]

    assert moved(wrong) == pytest.approx(1.0)
    assert moved(right) == pytest.approx(1.0 / expected)


def test_11_shuffled_epochs_are_accounted_as_poisson():
    """How often a unit is drawn must vary as coins do, since that is what the accountant has counted on.

    In an epoch every unit is in exactly one batch. Who knows which one sees one Gaussian release of it, which costs
    more than three times what the accountant says of 32 steps with coins.
    """
    number, steps = 1000, 32
    rate = sampling_rate(32, number)
    shuffled = list(batches(number, 32, steps, np.random.default_rng(1)))
    units = [np.array([i]) for i in range(number)]
    coins = [[int(u[0]) for u in step] for step in poisson_steps(units, rate, steps, np.random.default_rng(1).random)]

    def variance(drawn: Sequence[Sequence[int]]) -> float:
        return float(np.bincount(np.concatenate([np.asarray(step, int) for step in drawn]), minlength=number).var())

    expected = steps * rate * (1.0 - rate)
    assert variance(shuffled) == 0.0
    assert variance(coins) == pytest.approx(expected, rel=0.15)
    assert gaussian_epsilon(1.0, 1e-4) > 3.0 * total_epsilon(steps_of(1), 1e-4)


def test_12_the_gradient_of_a_mini_batch_is_clipped():
    """One image more or less must move the sum of a step by C at most."""
    rows = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    rows[0] *= 100.0
    like = {"a": torch.zeros(5)}

    def wrong(given: Tensor) -> Tensor:
        mean = given.mean(0)
        return len(rows) * mean * min(1.0, 1.0 / float(mean.norm()))

    def right(given: Tensor) -> Tensor:
        clipper = chunked_clipper(lambda images, targets: ({"a": images}, targets.double()), like, 3)
        return clipper(given, torch.zeros(len(given), dtype=torch.int64), torch.arange(len(given)), 1.0).total["a"]

    def moved(rule: Callable[[Tensor], Tensor]) -> float:
        return float((rule(rows) - rule(rows[1:])).norm())

    assert moved(wrong) > 5.0
    assert moved(right) <= 1.0 + 1e-5

"""What leaves a site after a crash at every step. Oracles: by hand; counts of trainings and rows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medfed.errors import PrivacyBudgetError, SiteError
from medfed.types import Update
from privacy.gaussian import gaussian_epsilon
from privacy.ledger.account import Account
from privacy.ledger.budget import Budget
from privacy.ledger.find import verify
from privacy.ledger.outbox import Outbox
from privacy.ledger.store import Ledger
from privacy.release import Release

MODEL = {"w": torch.zeros(3)}


class Crash(BaseException):
    """What a power cut is to a program."""


def release(number: int, multiplier: float = 2.0) -> Release:
    return Release("gaussian", 1.0, multiplier, 1.0, 1, "site", "add_remove", number)


class Site:
    """Its work: fresh noise every time; ``trained`` counts."""

    def __init__(self, folder: Path, *budgets: Budget, noise: Callable[[int], float] = float) -> None:
        self.trained = 0
        self.ledger = Ledger(folder, "north")
        self.outbox = Outbox(folder, "run")
        self.account = Account(self.ledger, self.outbox, "run", budgets)
        self.noise = noise

    def work(self) -> tuple[Update, float]:
        self.trained += 1
        tensors = {"w": torch.full((3,), self.noise(self.trained)), "n": torch.tensor([7])}
        return Update("north", tensors, 10, 2, {"loss": 0.5}, {"extra": {"c": torch.ones(2)}}), 1.5

    def send(self, number: int) -> Update:
        return self.account.released(release(number), MODEL, self.work)[0]


def test_what_was_released_is_sent_again_unchanged(tmp_path: Path) -> None:
    site = Site(tmp_path)
    first, again = site.send(1), site.send(1)
    assert site.trained == 1
    assert len(site.ledger.entries()) == 1
    assert torch.equal(first.tensors["w"], again.tensors["w"])
    assert list(again.tensors) == list(first.tensors)
    assert again.tensors["n"].dtype == torch.int64
    assert torch.equal(again.extras["extra"]["c"], torch.ones(2))
    assert (again.site, again.num_examples, again.num_steps, again.metrics) == ("north", 10, 2, {"loss": 0.5})
    assert site.account.released(release(1), MODEL, site.work)[1] == 1.5


@pytest.mark.parametrize("step", ["work", "put", "add"])
def test_a_crash_before_the_row_is_no_release(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*arguments: object) -> None:
        raise Crash

    site = Site(tmp_path)
    place = {"work": site, "put": site.outbox, "add": site.ledger}[step]
    with monkeypatch.context() as patched:
        patched.setattr(place, step, crash)
        with pytest.raises(Crash):
            site.send(1)
    assert site.ledger.entries() == []
    sent = site.send(1)
    (row,) = site.ledger.entries()
    found = site.outbox.get(1, row.update)
    assert found is not None
    assert torch.equal(found[0].tensors["w"], sent.tensors["w"])


def test_a_crash_after_the_row_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*arguments: object) -> None:
        raise Crash

    site = Site(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(site.outbox, "forget_before", crash)
        with pytest.raises(Crash):
            site.send(1)
    after = Site(tmp_path, noise=lambda trained: 9.0)
    assert float(after.send(1).tensors["w"][0]) == 1.0
    assert after.trained == 0
    assert len(after.ledger.entries()) == 1


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x07")])
def test_bytes_that_are_lost_cost_a_further_release(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    site = Site(tmp_path)
    site.send(1)
    (path,) = (tmp_path / "released" / "run").iterdir()
    damage(path)
    assert float(site.send(1).tensors["w"][0]) == 2.0
    assert [entry.release.round for entry in site.ledger.entries()] == [1, 1]
    assert float(site.send(1).tensors["w"][0]) == 2.0  # the later of the two
    assert site.trained == 2


def test_bytes_that_come_out_the_same_are_the_same_release(tmp_path: Path) -> None:
    """A simulation's noise is of its seed."""
    site = Site(tmp_path, noise=lambda trained: 5.0)
    site.send(1)
    (path,) = (tmp_path / "released" / "run").iterdir()
    path.unlink()
    site.send(1)
    assert (site.trained, len(site.ledger.entries())) == (2, 1)


def test_the_round_before_can_be_sent_again_and_older_files_are_gone(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for number in (1, 2, 5):
        site.send(number)
    assert sorted(path.stem for path in (tmp_path / "released" / "run").iterdir()) == ["2", "5"]
    assert float(site.send(2).tensors["w"][0]) == 2.0
    assert site.trained == 3


def test_the_round_that_would_exceed_is_refused_before_training(tmp_path: Path) -> None:
    """Three rounds fit exactly: sqrt(3) / 2."""
    limit = gaussian_epsilon(3.0**0.5 / 2.0, 1e-5)
    site = Site(tmp_path, Budget("site", 1.0001 * limit, 1e-5))
    for number in (1, 2, 3):
        site.send(number)
    with pytest.raises(PrivacyBudgetError, match=r"budget per site: epsilon .* in 3 releases; round 4 would make it"):
        site.send(4)
    assert site.trained == 3
    assert len(site.ledger.entries()) == 3
    site.send(3)  # costs nothing
    assert site.trained == 3


def test_two_runs_cannot_spend_the_same_rest(tmp_path: Path) -> None:
    """The other run writes its row while this one trains."""
    budget = Budget("site", gaussian_epsilon(1.1 / 2.0, 1e-5), 1e-5)
    one, other = (
        Site(tmp_path, budget),
        Account(Ledger(tmp_path, "north"), Outbox(tmp_path, "other"), "other", [budget]),
    )

    def slow() -> tuple[Update, float]:
        other.released(release(1), MODEL, Site(tmp_path).work)
        return one.work()

    with pytest.raises(PrivacyBudgetError):
        one.account.released(release(1), MODEL, slow)
    assert [entry.run for entry in one.ledger.entries()] == ["other"]


def test_what_must_not_be_sent_again_is_noised_anew_and_counted(tmp_path: Path) -> None:
    """Two releases; the third is refused, as any other is."""
    site = Site(tmp_path, Budget("site", gaussian_epsilon(2.5**0.5 / 2.0, 1e-5), 1e-5))
    site.account = replace(site.account, anew=True)
    assert [float(site.send(1).tensors["w"][0]) for _ in range(2)] == [1.0, 2.0]
    with pytest.raises(PrivacyBudgetError):
        site.send(1)
    assert [entry.release.round for entry in site.ledger.entries()] == [1, 1]
    assert site.trained == 2
    assert site.outbox.files() == []


def test_noise_that_nobody_can_account_for_does_not_leave(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with pytest.raises(SiteError, match=r"round 1: expected a Gaussian release, got .*laplace.*nothing was trained"):
        site.account.released(replace(release(1), mechanism="laplace"), MODEL, site.work)
    assert (site.trained, site.ledger.entries()) == (0, [])


@pytest.mark.parametrize("change", [{"num_examples": 99}, {"num_steps": 99}, {"metrics": {"loss": -7.0}}])
def test_a_stored_update_whose_numbers_were_edited_is_found_and_not_sent(tmp_path: Path, change: dict) -> None:
    site = Site(tmp_path)
    site.outbox.put(1, replace(site.send(1), **change), 1.5)
    (fault,) = verify(site.ledger).faults
    assert "is not what the ledger says was released" in fault
    assert site.send(1).num_examples == 10
    assert site.trained == 2


def test_a_crash_before_the_row_is_no_fault(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.send(1)
    site.outbox.put(2, site.work()[0], 1.5)
    verdict = verify(site.ledger)
    assert (verdict.faults, [path.stem for path in verdict.unreleased]) == ([], ["2"])

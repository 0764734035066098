"""The ledger of whole runs: crashes, budgets, several runs. Oracles: closed forms, the same run when nothing happens to
it, the bytes that a site sent."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, RecordDict

from client.released import own_budgets, released, site_ledger
from medfed import events
from medfed.config import parse_scenario
from medfed.errors import PrivacyBudgetError, QuorumError, SiteError
from medfed.messages import Request
from medfed.models.initial import initial_weights
from medfed.params import load_weights
from medfed.results import RunResult, Status
from medfed.types import ImageSet, SiteData, Update
from privacy.gaussian import gaussian_epsilon
from privacy.ledger.budget import Budget, spent
from privacy.ledger.store import Ledger
from simulations.run import resume, simulate
from tests.simulations.conftest import FEW

SITES = ("site-01", "site-02", "site-03")
LOCAL = {"name": "local", "clip": 0.5, "noise_multiplier": 2.0}
QUICK = {"baselines.local": False, "baselines.pooled": False, "evaluation.every": 3, "training.rounds": 3}


def tiny(**changes: Any) -> Any:
    return parse_scenario(FEW).replace(**(QUICK | {"privacy.mechanism": LOCAL} | changes))


def ledger(run: Path, site: str) -> Ledger:
    return Ledger(run / "sites" / site, site)


def cost(rounds: float) -> float:
    return gaussian_epsilon(rounds**0.5 / 2.0, 1e-5)


class Cut(BaseException):
    """What a power cut is to a program."""


def test_every_round_of_every_site_is_a_row_and_the_statement_agrees(tmp_path: Path) -> None:
    run = simulate(tiny(), out=tmp_path)
    for site in SITES:
        rows = ledger(run.folder, site).entries()
        assert [row.release.round for row in rows] == [1, 2, 3]
        assert len({row.update for row in rows}) == 3
        assert len({row.model for row in rows}) == 3
        assert {row.model for row in rows} == {row.model for row in ledger(run.folder, "site-01").entries()}
        epsilon = spent([row.release for row in rows], "site", 1e-5)
        assert epsilon == pytest.approx(cost(3), rel=1e-9)
        assert run.summary.privacy.sites[site].epsilon == epsilon
        assert f"epsilon = {epsilon:.3g}" in run.summary.privacy.sites[site].sentence
    assert run.summary.privacy.guarantees[0].epsilon == pytest.approx(cost(3), rel=1e-9)  # the largest, not the sum
    assert "site-02: whether the site" in (run.folder / "report.html").read_text()


def test_a_central_run_has_no_ledger_at_the_sites(tmp_path: Path) -> None:
    mechanism = LOCAL | {"name": "central"}
    run = simulate(tiny(**{"privacy.mechanism": mechanism, "training.rounds": 1}), out=tmp_path)
    assert not list(run.folder.rglob("ledger.sqlite"))
    assert run.rounds()[0].epsilon == pytest.approx(cost(1))


def test_a_round_that_is_asked_for_again_is_sent_again(tmp_path: Path) -> None:
    """Cut in round 2 without a spool: the sites that had answered are asked again, and train nothing."""

    def cut(event: events.Event) -> None:
        if isinstance(event, events.SiteDone) and event.round == 2:
            raise Cut

    whole = simulate(tiny(), out=tmp_path / "whole")
    with pytest.raises(Cut):
        simulate(tiny(), out=tmp_path / "cut", listener=cut)
    folder = tmp_path / "cut" / "tiny"
    before = ledger(folder, "site-01").entries()
    assert [row.release.round for row in before] == [1, 2]
    again = resume(folder)
    for site in SITES:
        rows, undisturbed = ledger(folder, site).entries(), ledger(whole.folder, site).entries()
        assert [row.update for row in rows] == [row.update for row in undisturbed]
        assert [row.release for row in rows] == [row.release for row in undisturbed]
    assert ledger(folder, "site-01").entries()[:2] == before
    assert (folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()
    assert again.summary.privacy == whole.summary.privacy


def test_the_run_goes_on_without_a_site_whose_budget_is_spent(tmp_path: Path) -> None:
    """site-02 has spent two rounds elsewhere; the ledgers lie outside the run."""
    outside = Ledger(tmp_path / "ledgers" / "site-02", "site-02")
    (donor,) = ledger(simulate(tiny(**{"training.rounds": 1}), out=tmp_path / "one").folder, "site-01").entries()
    for number in (1, 2):
        outside.add("another run", donor.release, f"m{number}", f"u{number}", lambda before: None)
    changes = {"privacy.budget": {"site": cost(3.5)}, "privacy.ledger": str(tmp_path / "ledgers")}
    run = simulate(tiny(**changes), out=tmp_path)
    assert run.status is Status.DEGRADED
    failed = [(line.round, failure.site, failure.code) for line in run.rounds() for failure in line.failed]
    assert failed == [(2, "site-02", "budget"), (3, "site-02", "budget")]
    assert any("budget error (PrivacyBudgetError)" in warning for warning in run.summary.warnings)
    trained = [sorted(site for site, part in line.sites.items() if part.num_steps) for line in run.rounds()]
    assert trained == [list(SITES), ["site-01", "site-03"], ["site-01", "site-03"]]
    assert len(outside.entries()) == 3
    assert len(Ledger(tmp_path / "ledgers" / "site-01").entries()) == 3
    assert not list(run.folder.rglob("ledger.sqlite"))
    assert "ledgers" not in json.dumps([line.model_dump(mode="json") for line in run.rounds()])
    assert parse_scenario((run.folder / "scenario.toml").read_text()).travelling().privacy.ledger == ""


def test_where_all_budgets_are_spent_the_run_stops(tmp_path: Path) -> None:
    with pytest.raises(QuorumError, match=r"round 3: only 0 of 3 sites.*budget error"):
        simulate(tiny(**{"privacy.budget": {"site": cost(2.5)}}), out=tmp_path)
    assert [len(ledger(tmp_path / "tiny", site).entries()) for site in SITES] == [2, 2, 2]


def request(mechanism: dict[str, Any] | str = LOCAL, **changes: Any) -> Request:
    scenario = tiny(**{"privacy.mechanism": mechanism, "federation.sites": ("a", "b")} | changes)
    return Request(scenario, "run", 1, initial_weights(scenario))


def at(tmp_path: Path | None, **config: Any) -> Context:
    home = {"home": str(tmp_path)} if tmp_path else {}
    return Context(1, 1, {"site": "a", **home, **config}, RecordDict(), {})


NOTHING = ImageSet(np.zeros((0, 1, 28, 28), np.uint8), np.zeros(0, np.uint8), np.zeros(0, np.int64), (), ())
DATA = SiteData("a", NOTHING, NOTHING, NOTHING)


def work() -> tuple[Update, float]:
    return Update("a", {"w": torch.ones(1)}, 1, 1, {"loss": 0.5}), 0.0


def refuse() -> tuple[Update, float]:
    pytest.fail("it was trained")


def test_a_site_s_own_budget_holds_whatever_the_scenario_says(tmp_path: Path) -> None:
    assert own_budgets(at(None, **{"budget-site": 3, "budget-delta": 1e-6})) == [Budget("site", 3.0, 1e-6)]
    assert [b.delta for b in own_budgets(at(None, **{"budget-record": 1.0, "budget-patient": 2.0}))] == [1e-5, 1e-5]
    released(request(), at(tmp_path, **{"budget-site": 1.01 * cost(1)}), DATA, work)
    second = Request(request().scenario, "run", 2, request().weights)
    with pytest.raises(PrivacyBudgetError):
        released(second, at(tmp_path, **{"budget-site": 1.01 * cost(1)}), DATA, refuse)
    for without_noise in ("none", LOCAL | {"name": "central"}):
        with pytest.raises(PrivacyBudgetError, match="noise none"):
            released(request(without_noise), at(tmp_path, **{"budget-site": 1e6}), DATA, refuse)
        assert released(request(without_noise), at(None), DATA, work)[0].site == "a"


@pytest.mark.parametrize("how", ["configuration", "variable"])
def test_a_budget_is_not_kept_with_noise_that_can_be_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("MEDFED_SIMULATED", "1" if how == "variable" else "")
    simulated = {"simulated": True} if how == "configuration" else {}
    with pytest.raises(SiteError, match="expected noise that nobody can draw again"):
        released(request(), at(tmp_path, **{"budget-site": 1e6}, **simulated), DATA, refuse)
    assert released(request(), at(tmp_path, **simulated), DATA, work)[0].site == "a"


@pytest.mark.parametrize("config", [{"budget-site": "8"}, {"budget-site": 0.0}, {"budget-site": 1, "budget-delta": 1}])
def test_a_policy_that_is_no_number_releases_nothing(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(SiteError, match="--node-config budget-"):
        released(request(), at(tmp_path, **config), DATA, refuse)


def test_without_a_folder_nothing_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SiteError, match='expected --node-config home="FOLDER"'):
        released(request(), at(None), DATA, refuse)
    monkeypatch.setenv("MEDFED_HOME", str(tmp_path / "homes"))
    assert site_ledger(at(None), request()).folder == tmp_path / "homes" / "a"
    monkeypatch.setenv("MEDFED_LEDGER", str(tmp_path / "ledgers"))
    assert site_ledger(at(None), request()).folder == tmp_path / "ledgers" / "a"
    assert site_ledger(at(None, ledger=str(tmp_path / "own")), request()).folder == tmp_path / "own"


def test_kill_9(tmp_path: Path) -> None:
    """Killed as soon as 4 of the 9 rows of three sites are written; then resumed as a user does.

    What left before is among what is in the ledger after, and epsilon ends where it does when nobody kills.
    """
    text = tiny(**{"engine.workers": 2, "record.rounds": (1, 2, 3)}).to_toml()
    (tmp_path / "tiny.toml").write_text(text)
    command = [str(Path(sys.executable).parent / "medfed"), "simulate"]
    folder = tmp_path / "runs" / "tiny"
    process = subprocess.Popen([*command, "tiny.toml", "--quiet"], cwd=tmp_path, start_new_session=True)
    try:
        while process.poll() is None and _num_rows(folder) < 4:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    left = {path.stem: load_weights(path) for path in (folder / "recorded").rglob("site-*.safetensors")}
    killed = {site: spent(ledger(folder, site).releases(), "site", 1e-5) for site in SITES}
    for site in left:
        assert killed[site] > 0.0
    assert any(cost(3) > epsilon for epsilon in killed.values())
    subprocess.run([*command, "--resume", str(folder), "--quiet"], cwd=tmp_path, check=True)
    for site in SITES:
        epsilon = spent(ledger(folder, site).releases(), "site", 1e-5)
        assert epsilon >= killed[site]
        assert epsilon == pytest.approx(cost(3), rel=1e-9)
    assert RunResult.load(folder).summary.privacy.guarantees[0].epsilon == pytest.approx(cost(3), rel=1e-9)


def _num_rows(folder: Path) -> int:
    """As the heads say, so that no lock is held while the sites write."""
    heads = folder.glob("sites/*/ledger.head")
    return sum(int((head.read_text() or "0").split()[0]) for head in heads)

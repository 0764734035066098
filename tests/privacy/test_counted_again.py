"""Rounds that are run again: what left twice is stated twice. Oracles: the sites' ledgers, closed forms."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import server.federation
from medfed import events, messages
from medfed.config import parse_scenario
from medfed.errors import QuorumError, SiteError
from medfed.results import RunResult
from privacy.gaussian import gaussian_epsilon
from privacy.ledger.budget import spent
from privacy.ledger.store import Ledger
from simulations.run import resume, simulate
from tests.simulations.conftest import FEW

QUICK = {"baselines.local": False, "baselines.pooled": False, "training.rounds": 1, "training.local_steps": 1}
LOCAL = {"name": "local", "clip": 0.5, "noise_multiplier": 2.0}
SITES = ("site-01", "site-02", "site-03")


class Died(BaseException):
    """What a power cut is to the server."""


def tiny(mechanism: dict[str, Any]) -> Any:
    return parse_scenario(FEW).replace(**(QUICK | {"privacy.mechanism": mechanism}))


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise of the operating system, at the server and the sites."""
    start = server.federation._start

    def started(*arguments: Any) -> Any:
        progress = start(*arguments)
        progress.simulated = False
        return progress

    monkeypatch.setattr(server.federation, "_start", started)
    monkeypatch.setattr("client.private.is_simulated", lambda context: False)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Path], Path]:
    """The server dies between the round's sum and its checkpoint; gives the folder."""

    def run(scenario: Any, out: Path) -> Path:
        def die(*arguments: Any) -> None:
            raise Died

        with monkeypatch.context() as patched:
            patched.setattr(server.federation, "_commit", die)
            with pytest.raises(Died):
                simulate(scenario, out=out)
        return out / "tiny"

    return run


def epsilons(run: RunResult) -> dict[str, float]:
    return {site: found.epsilon for site, found in run.summary.privacy.sites.items()}


def ledgers(folder: Path) -> dict[str, float]:
    return {site: spent(Ledger(folder / "sites" / site, site).releases(), "site", 1e-5) for site in SITES}


@pytest.mark.usefixtures("deployed")
def test_noise_that_the_server_draws_anew_is_counted(cut, tmp_path: Path) -> None:
    """The first noised mean may have left for validation."""
    run = resume(cut(tiny(LOCAL | {"name": "central"}), tmp_path))
    twice = gaussian_epsilon(2**0.5 / 2.0, 1e-5)
    (line,) = run.rounds()
    assert line.epsilon == run.summary.privacy.guarantees[0].epsilon == pytest.approx(twice, rel=1e-9)
    assert run.summary.privacy.guarantees[0].releases == 2


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("lost", [(), ("site-02",)])
def test_a_site_that_lost_what_it_sent_is_counted_and_one_that_sends_it_again_is_not(
    cut, tmp_path: Path, lost: tuple[str, ...]
) -> None:
    folder = cut(tiny(LOCAL), tmp_path)
    for site in lost:
        shutil.rmtree(folder / "sites" / site / "released")
    run = resume(folder)
    found = epsilons(run)
    assert found == pytest.approx(ledgers(folder), rel=1e-12)
    assert {site for site in SITES if run.summary.privacy.sites[site].releases == 2} == set(lost)
    assert run.rounds()[0].epsilon == max(found.values())


@pytest.mark.usefixtures("deployed")
def test_a_round_that_nobody_finished_is_stated_too(cut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked, noised, never committed; then too few come. Naive: nothing was run, so that nothing was released."""
    folder = cut(tiny(LOCAL), tmp_path)
    monkeypatch.setattr("server.federation._train", lambda grid, scenario, folder, progress: _join_and_die(progress))
    with pytest.raises(Died):
        resume(folder)
    found = RunResult.load(folder).summary.privacy
    assert found.guarantees[0].releases == 1
    assert found.guarantees[0].epsilon >= max(ledgers(folder).values())


def _join_and_die(progress: Any) -> None:
    raise Died


PRIVATE = {"name": "dp_sgd", "clip": 0.5, "noise_multiplier": 2.0}


def records(folder: Path) -> dict[str, float]:
    return {site: spent(Ledger(folder / "sites" / site, site).releases(), "record", 1e-5) for site in SITES}


def test_what_sites_released_is_stated_though_none_comes_again(
    cut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epsilon follows from their numbers of images. Naive: these are of who joined last, so that nothing is stated."""
    folder = cut(tiny(PRIVATE), tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("server.federation._train", lambda grid, scenario, folder, progress: _join_and_die(progress))
        with pytest.raises(Died):
            resume(folder)
    assert epsilons(RunResult.load(folder)) == pytest.approx(records(folder), rel=1e-12)


def test_a_site_that_never_came_again_is_stated_and_one_with_other_images_is_told(
    cut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Naive: who is absent after a crash has released nothing, and who comes with more images released less."""
    folder = cut(tiny(PRIVATE), tmp_path)
    before, introduce = records(folder), messages.info_reply

    def other(info: messages.SiteInfo) -> Any:
        if info.site == "site-02":
            raise SiteError("gone")
        return introduce(replace(info, num_train=info.num_train + 1) if info.site == "site-03" else info)

    with monkeypatch.context() as patched:
        patched.setattr(messages, "info_reply", other)
        with pytest.raises(QuorumError, match=r"came to this run with .* training images; privacy is for the data"):
            resume(folder)
    assert epsilons(RunResult.load(folder)) == pytest.approx(before, rel=1e-12)


def test_a_cut_within_a_round_is_no_further_release(tmp_path: Path) -> None:
    """Some sites have answered, some were only asked; all send, or resend, one release."""

    def stop(event: events.Event) -> None:
        if isinstance(event, events.SiteDone):
            raise Died

    with pytest.raises(Died):
        simulate(tiny(LOCAL), out=tmp_path, listener=stop)
    run = resume(tmp_path / "tiny")
    assert epsilons(run) == pytest.approx(ledgers(tmp_path / "tiny"), rel=1e-12)
    assert {found.releases for found in run.summary.privacy.sites.values()} == {1}

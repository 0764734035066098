"""A round that is run again over other sites: the difference of two opened sums is no single site's.

Oracles: the sums themselves; chi-square of the noise in their difference, of which the old way had one site's share.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import server.federation
import server.secure
from medfed import events
from medfed.config import Scenario
from medfed.errors import QuorumError
from privacy.ledger.budget import spent
from privacy.ledger.store import Ledger
from privacy.secure_aggregation import wire
from simulations.run import resume, simulate
from tests.privacy.secure_aggregation.test_runs import ON, UNIFORM, Watched, sites, tiny  # noqa: F401 - a fixture

NOISE, CLIP, SITES = 4.24, 0.5, 4
FOUR = {"data.partition.num_sites": SITES}
SHARED = {"name": "distributed", "clip": CLIP, "noise_multiplier": NOISE}


class Died(BaseException):
    """What a power cut is to the server."""


@pytest.fixture
def dies(monkeypatch: pytest.MonkeyPatch) -> Callable[[Scenario, Path], list[tuple[float, np.ndarray]]]:
    """The server dies between a sum and its checkpoint; gives the sums that are opened, then and later."""

    def run(scenario: Scenario, out: Path) -> list[tuple[float, np.ndarray]]:
        sums, decode = [], server.secure.decode

        def watch(*arguments):
            opened = decode(*arguments)
            sums.append((opened.weight, opened.mean * opened.weight))
            return opened

        def die(*arguments):
            raise Died

        monkeypatch.setattr(server.secure, "decode", watch)
        with monkeypatch.context() as patched:
            patched.setattr(server.federation, "_commit", die)
            with pytest.raises(Died):
                simulate(scenario, out=out)
        return sums

    return run


def test_shared_noise_is_drawn_anew_and_counted(dies, sites: Callable[..., Watched], tmp_path: Path) -> None:  # noqa: F811
    """Two sums of noise of variances (z C)^2 and 3/4 of it, and one update; sent again, only (z C)^2 / 4 was left."""
    sums = dies(tiny(**UNIFORM, **ON, **FOUR, **{"privacy.mechanism": SHARED}), tmp_path)
    sites("site-02", wire.MASKED)
    run = resume(tmp_path / "tiny")
    (_, first), (weight, second) = sums
    assert weight == SITES - 1
    expected = NOISE * CLIP * math.sqrt(1.0 + (SITES - 1) / SITES)
    assert (first - second).std() == pytest.approx(expected, rel=0.1)
    rows = {site: Ledger(run.folder / "sites" / site, site).entries() for site in ("site-01", "site-02")}
    assert [row.release.round for row in rows["site-01"]] == [1, 1]
    assert len({row.update for row in rows["site-01"]}) == 2
    assert len(rows["site-02"]) == 1
    ours = {site: spent([row.release for row in found], "site", 1e-5) for site, found in rows.items()}
    stated = run.summary.privacy
    assert stated.sites["site-01"].epsilon == ours["site-01"] > ours["site-02"]
    assert stated.sites["site-02"].epsilon >= ours["site-02"], "it was asked twice, and answered the server once"
    assert run.rounds()[0].epsilon == stated.guarantees[0].epsilon >= ours["site-01"]
    assert (stated.guarantees[0].releases, stated.sites["site-01"].releases) == (2, 2)
    assert not list(run.folder.rglob("released/*/*")), "what is not sent again is not kept"


def test_who_was_asked_twice_and_released_once_says_so(tmp_path: Path) -> None:
    """Cut as the first site had answered. Naive: each question counts, a release above the ledgers of the others."""

    def stop(event: events.Event) -> None:
        if isinstance(event, events.SiteDone):
            raise Died

    with pytest.raises(Died):
        simulate(tiny(**UNIFORM, **ON, **FOUR, **{"privacy.mechanism": SHARED}), out=tmp_path, listener=stop)
    run = resume(tmp_path / "tiny")
    held = {site: Ledger(run.folder / "sites" / site, site).releases() for site in run.summary.sites}
    assert [len(found) for found in held.values()] == [2, 1, 1, 1]
    stated = run.summary.privacy.sites
    assert {site: stated[site].releases for site in held} == {site: len(found) for site, found in held.items()}
    assert all(stated[site].epsilon == spent(found, "site", 1e-5) for site, found in held.items())


def test_without_noise_no_second_sum_is_opened_over_other_sites(
    dies,
    sites: Callable[..., Watched],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sites as of a deployment. Over the same ones it is opened: it is the same sum."""
    monkeypatch.setattr("client.secure.is_simulated", lambda context: False)
    sums = dies(tiny(**UNIFORM, **ON, **FOUR), tmp_path)
    sites("site-02", wire.MASKED)
    with pytest.raises(QuorumError, match="refused"):
        resume(tmp_path / "tiny")
    assert len(sums) == 1
    sites()
    resume(tmp_path / "tiny")
    (_, first), (_, second) = sums
    assert np.array_equal(first, second)

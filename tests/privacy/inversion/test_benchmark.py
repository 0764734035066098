"""The comparison with the peer. Oracle: by hand; the closing line's form in DESIGN.md."""

import json
from pathlib import Path

import pytest

from simulations.benchmarks import inversion


def test_at_least_the_peers_quality_at_half_its_cost_holds() -> None:
    quality, cost = inversion.rows("case", 40.0, 5.0, {"psnr": 39.0, "seconds": 10.0}, "")
    assert quality.holds
    assert cost.holds
    quality, cost = inversion.rows("case", 38.0, 5.1, {"psnr": 39.0, "seconds": 10.0}, "")
    assert not quality.holds
    assert not cost.holds


def test_without_the_peer_nothing_is_judged_and_the_reason_is_kept() -> None:
    for row in inversion.rows("case", 40.0, 5.0, None, "no .venv-peers"):
        assert (row.peer, row.holds, row.reason) == (None, None, "no .venv-peers")


def test_without_the_cases_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["inversion", "--cases", str(tmp_path)])
    inversion.main()
    lines = capsys.readouterr().out.splitlines()
    assert "left out, no cases.py" in lines[0]
    assert json.loads(lines[-1]) == {"name": "inversion", "rows": []}

"""How often sites were asked for what they noise. Oracle: by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from medfed.dialogue import SiteInfo
from server.asked import FILE, Asked, AskedLog

INFOS = {name: SiteInfo(name, 10, 2, 3, (7, 3), num_patients=4) for name in "abc"}


def test_a_round_that_is_asked_again_is_there_again(tmp_path: Path) -> None:
    """Naive: the round is one, however often its sites were asked."""
    log = AskedLog(tmp_path)
    assert (log.again(), log.last) == ([], 0)
    log.ask(1, ["a", "b"], INFOS)
    log.ask(2, ["a"], INFOS)
    log.ask(2, ["b", "c"], INFOS)  # another stage of the round
    assert (log.again(), log.last) == ([], 2)
    log.ask(2, ["b"], INFOS)
    log.ask(2, ["a", "b"], INFOS)
    log.ask(2, [], INFOS)
    expected = [Asked(2, ["a"]), Asked(2, ["b"]), Asked(2, ["b"])]
    assert log.again() == AskedLog(tmp_path).again() == expected


@pytest.mark.parametrize(("stated", "left"), [(1.0, 0), (2.0, 1), (3.0, 2), (7.0, 6), (0.0, 2), (-1.0, 2), (1e9, 2)])
def test_a_site_says_how_often_it_released(tmp_path: Path, stated: float, left: int) -> None:
    """Less often than it was asked, where it sends the same again; numbers that cannot be are not believed."""
    log = AskedLog(tmp_path)
    for _ in range(3):
        log.ask(1, ["a"], INFOS)
    log.answered(1, "a", stated)
    assert len(log.again()) == len(AskedLog(tmp_path).again()) == left
    log.ask(1, ["a"], INFOS)
    assert len(log.again()) == left + 1


def test_who_was_asked_once_leaves_no_line(tmp_path: Path) -> None:
    log = AskedLog(tmp_path)
    log.ask(1, ["a"], INFOS)
    before = (tmp_path / FILE).read_bytes()
    log.answered(1, "a", 1.0)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_line_that_a_crash_cut_costs_no_other(tmp_path: Path) -> None:
    """It was not on the disk, so that nobody was asked yet."""
    AskedLog(tmp_path).ask(1, ["a"], INFOS)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'\n{"round": 1, "si')
    log = AskedLog(tmp_path)
    assert log.again() == []
    log.ask(1, ["a"], INFOS)
    assert AskedLog(tmp_path).again() == [Asked(1, ["a"])]


def test_how_a_site_came_is_kept_before_it_is_asked(tmp_path: Path) -> None:
    log = AskedLog(tmp_path)
    log.ask(1, ["a", "b"], INFOS)
    kept = (tmp_path / FILE).read_bytes()
    assert log.infos == AskedLog(tmp_path).infos == {name: INFOS[name] for name in "ab"}
    log.ask(2, ["a"], INFOS)
    assert (tmp_path / FILE).read_bytes().removeprefix(kept).count(b"{") == 1, "who is known is not kept again"
    other = replace(INFOS["a"], num_train=11)
    log.ask(3, ["a"], INFOS | {"a": other})
    assert AskedLog(tmp_path).infos["a"] == other
    assert AskedLog(tmp_path).again() == []

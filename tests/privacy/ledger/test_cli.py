"""``medfed privacy plan``, ``ledger`` and ``verify``. Oracles: the functions beneath, exit codes of DESIGN.md."""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from medfed import cli
from privacy.accountants import TIGHTEST
from privacy.gaussian import gaussian_epsilon
from privacy.ledger.budget import spent
from privacy.ledger.store import Ledger
from privacy.planning.noise import Schedule
from privacy.release import Release

Shown = tuple[int, str, str]
Call = Callable[..., Shown]
SITE = Release("gaussian", 0.5, 4.0, 1.0, 1, "site", "add_remove", 1)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """``call("plan", "--rounds", "3")`` -> exit code, what is on the console, errors."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Shown:
        code = cli.run(["privacy", *map(str, arguments)], cli.COMMANDS)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Two sites; the second took part in two runs."""
    for site, runs in (("north", ("run-1",)), ("south", ("run-1", "run-2"))):
        ledger = Ledger(tmp_path / "sites" / site, site)
        for run in runs:
            for number in (1, 2):
                ledger.add(run, replace(SITE, round=number), "m", "u", lambda before: None)
    return tmp_path


def cells(out: str, first: str) -> list[str]:
    (line,) = [line for line in out.splitlines() if re.match(rf"│ {first}\b", line)]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_the_ledger_says_what_was_spent_by_run_and_in_all(call: Call, run_folder: Path) -> None:
    code, out, err = call("ledger", run_folder / "sites" / "south")
    assert (code, err) == (0, "")
    for name, count in (("run-1", 2), ("run-2", 2), ("all runs", 4)):
        both = [f"{gaussian_epsilon(distance * count**0.5 / 4.0, 1e-5):.4g}" for distance in (2.0, 1.0)]
        assert cells(out, name) == [name, "site", "gaussian", "1-2", str(count), str(count), *both]
    assert "│ one replaced │ one added or removed │" in re.sub("[┃┆]", "│", out)
    assert "a budget per site counts: one added or removed" in out
    last = Ledger(run_folder / "sites" / "south").entries()[-1]
    assert f"row 4, {last.time}: {last.hash}" in out
    assert call("ledger", run_folder)[1].count("epsilon at delta 1e-05") == 2
    assert call("ledger", run_folder / "sites")[1].count("all runs") == 2
    assert f"{gaussian_epsilon(0.5, 1e-3):.4g}" in call("ledger", run_folder, "--delta", "1e-3")[1]


def test_the_ledger_says_what_a_budget_says(call: Call, tmp_path: Path) -> None:
    """Of a patient, a release with noise for records alone costs all; of a record, both together."""
    ledger = Ledger(tmp_path, "north")
    for run, unit, number in (("run-1", "patient", 1), ("run-2", "record", 2)):
        ledger.add(run, replace(SITE, unit=unit, round=number), "m", "u", lambda before: None)
    code, out, _ = call("ledger", tmp_path)
    rows = [line.strip("│").split("│") for line in out.splitlines() if "all runs" in line]
    epsilon = {row[1].strip(): row[-2].strip() for row in rows}
    assert code == 0
    assert epsilon["patient"] == "inf"
    assert "inf: among them are releases without noise for this unit" in out
    assert "a budget per record counts: one replaced" in out
    assert epsilon["record"] == f"{spent(ledger.releases(), 'record', 1e-5):.4g}"


def test_verify_is_content_with_what_was_written(call: Call, run_folder: Path) -> None:
    code, out, err = call("verify", run_folder)
    assert (code, out, err) == (0, "OK north: 2 rows\nOK south: 4 rows\n", "")
    path = run_folder / "sites" / "north" / "ledger.sqlite"
    first, last = (entry.hash for entry in Ledger(path.parent).entries())
    assert call("verify", path, "--head", last)[0] == 0
    assert call("verify", path, "--head", first)[0] == 0  # as of an earlier day


def test_verify_finds_an_edited_row_and_a_hash_that_is_not_there(call: Call, run_folder: Path) -> None:
    path = run_folder / "sites" / "north" / "ledger.sqlite"
    code, out, _ = call("verify", path, "--head", "0" * 64)
    assert code == 1
    assert "FAULT" in out
    assert "written anew" in out
    database = sqlite3.connect(path)
    database.execute("DROP TRIGGER no_update_releases")
    database.execute("UPDATE releases SET noise_multiplier = 40.0 WHERE number = 1")
    database.commit()
    database.close()
    code, out, err = call("verify", run_folder)
    assert (code, err) == (1, "")
    assert "row 1 was edited" in out
    assert "OK south: 4 rows" in out
    assert call("ledger", run_folder)[0] == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ledger", "FOLDER/none"), "no ledger"),
        (("verify", "FOLDER/none"), "no ledger"),
        (("ledger", "FOLDER", "--delta", "2"), "--delta: expected"),
        (("verify", "FOLDER", "--head", "x"), "--head: expected the path of one ledger"),
        (("plan",), "expected a SCENARIO, or --rounds"),
        (("plan", "--rounds", "5", "--batch", "3"), "--batch and --num: expected both"),
        (("plan", "--rounds", "5", "--epsilon", "-1"), "--epsilon: expected"),
        (("plan", "--rounds", "5", "--batch", "3", "--num", "1000", "--delta", "0.01"), "1 / 1000"),
        (("plan", "--rounds", "5", "--accountant", "pdl"), 'unknown accountant "pdl"; did you mean "pld"?'),
        (("plan", "--rounds", "5", "--set", "seed=2"), "--set: expected a SCENARIO"),
        (("plan", "FOLDER/none.toml"), "cannot be read"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    call: Call, run_folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = call(*(argument.replace("FOLDER", str(run_folder)) for argument in arguments))
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("medfed: error: ")
    assert said in line


def test_a_plan_for_one_site(call: Call) -> None:
    """Noise 1 is the notes' case: 7.42 for a record added or removed, and what holds is that of one replaced."""
    one = Schedule(0.032, 32)
    replaced, removed = (one.epsilon(1.0, 50, 1e-4, relation, TIGHTEST) for relation in ("replace", "add_remove"))
    code, out, err = call("plan", "--rounds", 50, "--batch", 32, "--num", 1000, "--epsilon", replaced, "--delta", 1e-4)
    assert (code, err) == (0, "")
    (found,) = re.findall(r"per record over 50 rounds \(one replaced, pld\): noise_multiplier = (\S+)", out)
    assert float(found) == pytest.approx(1.0, abs=2e-3)
    assert removed == pytest.approx(7.42, abs=0.01)
    assert cells(out, "the site")[1:] == ["1000 records", "0.032", "32", f"{replaced:.3g}", f"{removed:.3g}"]
    assert cells(out, "50")[3] == f"{replaced:.3g}"


def test_a_plan_for_whole_sites(call: Call) -> None:
    out = call("plan", "--rounds", 50)[1]
    assert "per site over 50 rounds (one added or removed, pld)" in out
    assert "noise_multiplier = 4.244" in out


SCENARIO = """
name = "planned"
task = { kind = "classification", classes = ["normal", "pneumonia"] }
model = { name = "small_cnn", width = 4, norm = "group" }
data = { path = "package:medfed/data/samples/pneumoniamnist/pneumoniamnist.npz", image_size = 28 }
training = { rounds = 4, local_epochs = 1, batch_size = 16, loss = "cross_entropy" }
privacy = { mechanism = { name = "dp_sgd", clip = 1.0, noise_multiplier = 1.5 }, delta = 1e-4 }
"""


def test_a_plan_for_every_site_of_a_scenario(call: Call, tmp_path: Path) -> None:
    """The smallest site decides; the noise of the scenario stands beside the noise that is needed."""
    (tmp_path / "planned.toml").write_text(SCENARIO)
    partition = "data.partition={name='dirichlet', num_sites=3, alpha=0.5}"
    code, out, err = call("plan", tmp_path / "planned.toml", "--epsilon", 2.0, "--set", partition)
    assert (code, err) == (0, "")
    assert "per record over 4 rounds" in out
    rows = [cells(out, f"site-0{number}") for number in (1, 2, 3)]
    assert "epsilon, noise" in out
    assert "one replaced" in out
    smallest = min(rows, key=lambda row: int(row[1].split()[0]))
    assert float(smallest[4]) == pytest.approx(2.0, rel=0.01)
    assert all(float(row[4]) <= 2.0 for row in rows)
    none = tmp_path / "none.toml"
    none.write_text(SCENARIO.replace('mechanism = { name = "dp_sgd", clip = 1.0, noise_multiplier = 1.5 }, ', ""))
    assert call("plan", none)[0] == 2
    assert call("plan", tmp_path / "planned.toml", "--batch", 3)[2].startswith("medfed: error: --batch: follows from")

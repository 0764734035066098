"""The fault matrix: what a user sees of each fault, and how the run ends.

Oracles: the table of docs/faults.md and the exit codes of DESIGN.md, by hand; the bytes of an undisturbed run.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from medfed.results import RoundResult, RunResult, Status
from simulations.engine.worker import load
from tests.simulations.conftest import Call
from tests.simulations.faulty import trainer
from tests.simulations.hostile import Hostile

APP = "client.app:app"
DEADLINE_SECONDS = 8  # more than one step takes on a busy machine; a hang lasts so long


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``hostile("count 0")``: the sites run another app than ours."""

    def put(does: str, everywhere: bool = False) -> None:
        monkeypatch.setattr(
            "simulations.engine.grid.load", lambda name: Hostile(does, everywhere) if name == APP else load(name)
        )

    return put


def last_round(folder: Path) -> RoundResult:
    return RunResult.load(folder / "runs/tiny").rounds()[-1]


def check_degraded(folder: Path, shown: tuple[int, str, str], code: str, said: str) -> None:
    """The site, the cause, the remedy and the code are on the console; the rest took part; the run says DEGRADED."""
    exit_code, out, err = shown
    assert (exit_code, err) == (3, "")
    (line,) = [line for line in out.splitlines() if line.startswith("site site-02 failed: ")]
    assert re.search(said, line)
    assert line.rstrip().endswith(f"[{code}]")
    (failure,) = last_round(folder).failed
    assert (failure.site, failure.code) == ("site-02", code)
    assert f"{failure.cause}; {failure.remedy}" in line
    done = RunResult.load(folder / "runs/tiny")
    assert done.status is Status.DEGRADED
    assert any(warning.startswith("site site-02 failed in round 1: ") for warning in done.summary.warnings)
    assert {name for name, site in last_round(folder).sites.items() if site.num_steps} == {"site-01", "site-03"}


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("exception", "exception", r"exception error \(RuntimeError\); see the log of the site"),
        ("memory", "memory", r"memory error \(MemoryError\); lower training\.batch_size"),
        ("data", "data", r"data error \(DataError\); run `medfed data check"),
        ("divergence", "divergence", r"DivergedError\); lower training\.optimizer\.lr"),
        ("import", "import", r"import error \(ModuleNotFoundError\); install at the site"),
        ("nan", "update", "holds NaN or Inf; lower the learning rate; its update was not used"),
        ("inf", "update", "holds NaN or Inf"),
    ],
)
def test_a_trainer_that_fails_costs_its_site(short: Call, tmp_path: Path, fault: str, code: str, said: str) -> None:
    check_degraded(tmp_path, short(trainer(fault)), code, said)


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("missing key", r"tensor names differ from the global model: missing \['"),
        ("wrong shape", r"expected \(.*\) float32, got \(3, 5\) float32; is its medfed the same"),
        ("count -19", r"expected num-examples from 1 to \d+ .*, got -19 and 1"),
        ("count 1e12", r"expected num-examples from 1 to \d+ .*, got 1000000000000 and 1"),
        ("count 0", r"expected num-examples from 1 to \d+ .*, got 0 and 1"),
    ],
)
def test_an_update_that_cannot_be_is_refused(
    short: Call, hostile: Callable[..., None], tmp_path: Path, does: str, said: str
) -> None:
    hostile(does)
    check_degraded(tmp_path, short(), "update", said)


def test_metrics_of_more_images_than_a_site_joined_with_are_refused(
    short: Call, hostile: Callable[..., None], tmp_path: Path
) -> None:
    hostile("images 1e12")
    code, out, _ = short()
    assert code == 3
    said = r"expected metrics of \d+ images \(what it joined with\), 1 at least; got 1000000000000; .*\[metrics\]"
    assert len(re.findall(f"site site-02 failed: .*{said}", out)) == 2  # validation and test
    assert RunResult.load(tmp_path / "runs/tiny").summary.sites["site-02"].federated is None


def test_a_site_that_cannot_write_its_state_is_told_from_others(
    short: Call, hostile: Callable[..., None], tmp_path: Path
) -> None:
    hostile("disk of the site")
    shown = short('federation.strategy="ditto"')
    check_degraded(tmp_path, shown, "disk", r"disk error \(WriteError\); make room on the site's disk")


def test_a_worker_that_dies_twice_costs_its_site(short: Call, tmp_path: Path) -> None:
    shown = short(trainer("die"), "engine.workers=2")
    check_degraded(tmp_path, shown, "flower-8", "died 2 times, the last time killed by SIGKILL; out of memory")


def test_a_site_that_hangs_is_late(short: Call, tmp_path: Path) -> None:
    seconds = DEADLINE_SECONDS
    shown = short(trainer("hang"), "engine.workers=2", f"federation.deadline_seconds={seconds}")
    check_degraded(tmp_path, shown, "deadline", f"no reply within {seconds} s; raise federation.deadline_seconds")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([trainer("nan"), "federation.quorum=1.0"], r"round 1: only 2 of 3 sites delivered .*site-02: tensor"),
        ([trainer("exception", "site-01", "site-02", "site-03"), "federation.quorum=0.01"], "only 0 of 3 sites"),
        (
            [trainer("nan"), "federation.aggregator={name='trimmed_mean', num_byzantine=1}"],
            r'round 1: key "federation.aggregator": "trimmed_mean" .*at least 3 updates .*got 2; .*; '
            r"failed: site-02: tensor .* holds NaN or Inf; .*, its update was not used",
        ),
    ],
)
def test_below_the_quorum_the_run_stops(short: Call, tmp_path: Path, changes: list[str], said: str) -> None:
    code, out, err = short(*changes)
    assert code == 4
    assert re.fullmatch(f"medfed: error: .*{said}.*\n", err)
    assert "site site-02 failed: " in out
    assert RunResult.load(tmp_path / "runs/tiny").status is Status.STOPPED


def test_counts_that_are_all_zero_stop_the_run(short: Call, hostile: Callable[..., None]) -> None:
    hostile("count 0", everywhere=True)
    code, out, err = short("federation.quorum=0.01")
    assert (code, out.count("got 0 and 1")) == (4, 3)
    assert "round 1: only 0 of 3 sites delivered" in err


def test_a_plug_in_that_cannot_be_imported_is_bad_input(short: Call, tmp_path: Path) -> None:
    code, _, err = short("training.trainer={name='tests.simulations.unimportable:Trainer'}")
    assert code == 2
    (line,) = err.splitlines()
    assert 'key "training.trainer' in line
    assert "a_package_that_nobody_has" in line
    assert not (tmp_path / "runs").exists()


def test_two_sites_of_one_name_stop_the_run(short: Call, hostile: Callable[..., None]) -> None:
    hostile("duplicate name")
    code, out, err = short()
    assert code == 2
    assert 'two nodes call themselves site "site-01"; give each a name of its own [duplicate]' in out
    assert err == 'medfed: error: two nodes call themselves site "site-01"; give each a name of its own\n'


def test_a_stop_file_stops_the_run(short: Call, hostile: Callable[..., None], tmp_path: Path) -> None:
    hostile("stop file")
    code, out, err = short()
    assert (code, err) == (4, "")
    assert "asks for the end; go on with: medfed simulate --resume runs/tiny" in out
    assert RunResult.load(tmp_path / "runs/tiny").status is Status.STOPPED


def test_the_codes_of_the_docs_are_those_of_the_code(repository: Path) -> None:
    """Both ways: no code without its line in docs/faults.md, no line without its code."""
    from client.faults import _REMEDIES

    text = (repository / "docs/faults.md").read_text()
    told = set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))
    source = "".join(path.read_text() for path in (repository / "server").glob("*.py"))
    ours = {*re.findall(r'code="([a-z]+)"', source), *re.findall(r'_fault\(site, "([a-z]+)"', source), "duplicate"}
    assert told == ours | {code for _, code, _ in _REMEDIES}
    assert "`flower-N`" in text

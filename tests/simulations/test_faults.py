"""The fault matrix: what a user sees of each fault, and how the run ends.

Oracles: the table of docs/faults.md and the exit codes of DESIGN.md, by hand; the bytes of an undisturbed run.
"""

import json
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from medfed import cli, events
from medfed.results import RoundResult, RunResult, Status
from simulations import run
from simulations.engine.worker import load
from tests.simulations.conftest import TINY
from tests.simulations.hostile import Hostile

APP = "client.app:app"
FAULTY = "tests.simulations.faulty:Faulty"
SHORT = ("baselines.local=false", "baselines.pooled=false", "training.rounds=1", "training.local_steps=1")
DEADLINE_SECONDS = 8  # more than one step takes on a busy machine; a hang lasts so long

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """``simulate("seed=2")`` or ``simulate(resume=True)`` -> exit code, what is on the console, errors."""
    (tmp_path / "tiny.toml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")

    def call(*changes: str, resume: bool = False) -> tuple[int, str, str]:
        options = [part for change in (*SHORT, *changes) for part in ("--set", change)]
        arguments = ["--resume", "runs/tiny"] if resume else ["tiny.toml", *options]
        code = cli.run(["simulate", *arguments], cli.COMMANDS)
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return call


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``hostile("count 0")``: the sites run another app than ours."""

    def put(does: str, everywhere: bool = False) -> None:
        monkeypatch.setattr(
            "simulations.engine.grid.load", lambda name: Hostile(does, everywhere) if name == APP else load(name)
        )

    return put


def trainer(fault: str, *sites: str) -> str:
    return f"training.trainer={{name='{FAULTY}', fault='{fault}', sites={list(sites or ['site-02'])}}}"


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
def test_a_trainer_that_fails_costs_its_site(simulate: Call, tmp_path: Path, fault: str, code: str, said: str) -> None:
    check_degraded(tmp_path, simulate(trainer(fault)), code, said)


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
    simulate: Call, hostile: Callable[..., None], tmp_path: Path, does: str, said: str
) -> None:
    hostile(does)
    check_degraded(tmp_path, simulate(), "update", said)


def test_a_site_that_cannot_write_its_state_is_told_from_others(
    simulate: Call, hostile: Callable[..., None], tmp_path: Path
) -> None:
    hostile("disk of the site")
    shown = simulate('federation.strategy="ditto"')
    check_degraded(tmp_path, shown, "disk", r"disk error \(WriteError\); make room on the site's disk")


def test_a_worker_that_dies_twice_costs_its_site(simulate: Call, tmp_path: Path) -> None:
    shown = simulate(trainer("die"), "engine.workers=2")
    check_degraded(tmp_path, shown, "flower-8", "died 2 times, the last time killed by SIGKILL; out of memory")


def test_a_site_that_hangs_is_late(simulate: Call, tmp_path: Path) -> None:
    seconds = DEADLINE_SECONDS
    shown = simulate(trainer("hang"), "engine.workers=2", f"federation.deadline_seconds={seconds}")
    check_degraded(tmp_path, shown, "deadline", f"no reply within {seconds} s; raise federation.deadline_seconds")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([trainer("nan"), "federation.quorum=1.0"], r"round 1: only 2 of 3 sites delivered .*site-02: tensor"),
        ([trainer("exception", "site-01", "site-02", "site-03"), "federation.quorum=0.01"], "only 0 of 3 sites"),
    ],
)
def test_below_the_quorum_the_run_stops(simulate: Call, tmp_path: Path, changes: list[str], said: str) -> None:
    code, out, err = simulate(*changes)
    assert code == 4
    assert re.fullmatch(f"medfed: error: .*{said}.*\n", err)
    assert "site site-02 failed: " in out
    assert RunResult.load(tmp_path / "runs/tiny").status is Status.STOPPED


def test_counts_that_are_all_zero_stop_the_run(simulate: Call, hostile: Callable[..., None]) -> None:
    hostile("count 0", everywhere=True)
    code, out, err = simulate("federation.quorum=0.01")
    assert (code, out.count("got 0 and 1")) == (4, 3)
    assert "round 1: only 0 of 3 sites delivered" in err


def test_a_plug_in_that_cannot_be_imported_is_bad_input(simulate: Call, tmp_path: Path) -> None:
    code, _, err = simulate("training.trainer={name='tests.simulations.unimportable:Trainer'}")
    assert code == 2
    (line,) = err.splitlines()
    assert 'key "training.trainer' in line
    assert "a_package_that_nobody_has" in line
    assert not (tmp_path / "runs").exists()


def test_two_sites_of_one_name_stop_the_run(simulate: Call, hostile: Callable[..., None]) -> None:
    hostile("duplicate name")
    code, out, err = simulate()
    assert code == 2
    assert 'two nodes call themselves site "site-01"; give each a name of its own [duplicate]' in out
    assert err == 'medfed: error: two nodes call themselves site "site-01"; give each a name of its own\n'


def test_a_stop_file_stops_the_run(simulate: Call, hostile: Callable[..., None], tmp_path: Path) -> None:
    hostile("stop file")
    code, out, err = simulate()
    assert (code, err) == (4, "")
    assert "asks for the end; go on with: medfed simulate --resume runs/tiny" in out
    assert RunResult.load(tmp_path / "runs/tiny").status is Status.STOPPED


# ---- the server's own disk


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Files of this process cannot grow above ``size`` bytes: to a program, a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("spool", "file"), [("false", "checkpoints/1.tmp/model.safetensors"), ("true", "spool/1/site-01.safetensors")]
)
def test_a_full_disk_ends_the_run_in_one_line_and_the_run_goes_on_when_there_is_room(
    simulate: Call, tmp_path: Path, spool: str, file: str
) -> None:
    changes = ("training.rounds=2", f"engine.spool={spool}")
    assert simulate(*changes)[0] == 0
    whole = (tmp_path / "runs/tiny/model.safetensors").read_bytes()
    (tmp_path / "runs").rename(tmp_path / "whole")
    with no_file_above(len(whole) - 1):
        code, _, err = simulate(*changes)
    assert code == 4
    assert err.startswith(f"medfed: error: runs/tiny/{file}: cannot be written: ")
    assert err.endswith("; make room on that disk, or make it writable; what was finished is kept (--resume)\n")
    assert list((tmp_path / "runs").rglob("*.safetensors.tmp")) == []
    assert simulate(resume=True)[0] == 0
    assert (tmp_path / "runs/tiny/model.safetensors").read_bytes() == whole


class Cut(BaseException):
    """What a power cut is to a program."""


def cut_in_round_2(event: events.Event) -> None:
    if isinstance(event, events.SiteDone) and (event.round, event.site) == (2, "site-02"):
        raise Cut


@pytest.fixture
def cut(tiny: Any, tmp_path: Path) -> tuple[Path, bytes]:
    """A run that was cut in round 2, two of whose sites had delivered; the model of the same run without a cut."""
    changes = {"baselines.local": False, "baselines.pooled": False, "engine.spool": True}
    whole = run.simulate(tiny(**changes), out=tmp_path / "whole")
    with pytest.raises(Cut):
        run.simulate(tiny(**changes), out=tmp_path / "runs", listener=cut_in_round_2)
    return tmp_path / "runs/tiny", (whole.folder / "model.safetensors").read_bytes()


def test_a_truncated_checkpoint_is_refused(simulate: Call, cut: tuple[Path, bytes]) -> None:
    path = cut[0] / "checkpoints/1/model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    before = {file: file.read_bytes() for file in cut[0].rglob("*") if file.is_file()}
    code, _, err = simulate(resume=True)
    assert code == 2
    assert err.startswith("medfed: error: runs/tiny/checkpoints/1/model.safetensors: is damaged: ")
    assert "or run the scenario anew with --overwrite" in err
    assert {file: file.read_bytes() for file in cut[0].rglob("*") if file.is_file()} == before


def test_a_damaged_spool_file_costs_its_site_another_training(simulate: Call, cut: tuple[Path, bytes]) -> None:
    path = cut[0] / "spool/2/site-02.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    assert simulate(resume=True)[0] == 0
    assert (cut[0] / "model.safetensors").read_bytes() == cut[1]


def test_a_spooled_update_that_no_longer_fits_is_refused(simulate: Call, cut: tuple[Path, bytes]) -> None:
    """The site joined again with fewer images than it had trained on."""
    path = cut[0] / "spool/2/site-02.safetensors"
    data = path.read_bytes()
    found = re.search(rb'\\"num_examples\\": (\d+)', data)
    assert found is not None
    count = found[1]
    path.write_bytes(data.replace(found[0], found[0].replace(count, b"9" * len(count))))
    code, out, _ = simulate(resume=True)
    assert code == 3
    assert re.search(r"site site-02 failed: expected num-examples from 1 to \d+ .*\[update\]", out)


def test_what_a_page_of_a_stopped_run_says_does_not_pass_for_the_end(simulate: Call, tmp_path: Path, tiny: Any) -> None:
    """Stopped, resumed, and killed after the rounds: the page of the stop is gone, so that the run is not complete."""
    assert simulate(trainer("nan"), "federation.quorum=1.0")[0] == 4
    assert (tmp_path / "runs/tiny/report.html").exists()
    text = (tmp_path / "runs/tiny/scenario.toml").read_text()
    (tmp_path / "runs/tiny/scenario.toml").write_text(text.replace("quorum = 1.0", "quorum = 0.5"))

    def listen(event: events.Event) -> None:
        raise Cut

    with pytest.raises(Cut):
        run.resume(tmp_path / "runs/tiny", listener=listen)
    assert json.loads((tmp_path / "runs/tiny/summary.json").read_text())["status"] == "STOPPED"
    assert not (tmp_path / "runs/tiny/report.html").exists()


def test_the_codes_of_the_docs_are_those_of_the_code(repository: Path) -> None:
    """Both ways: no code without its line in docs/faults.md, no line without its code."""
    from client.faults import _REMEDIES

    text = (repository / "docs/faults.md").read_text()
    told = set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))
    source = "".join(path.read_text() for path in (repository / "server").glob("*.py"))
    ours = {*re.findall(r'code="([a-z]+)"', source), *re.findall(r'_fault\(site, "([a-z]+)"', source), "duplicate"}
    assert told == ours | {code for _, code, _ in _REMEDIES}
    assert "`flower-N`" in text

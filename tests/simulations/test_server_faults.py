"""Faults of the server: a full disk, a cut, damaged files. Oracles: the bytes of an undisturbed run, exit codes."""

import json
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from medfed import events
from medfed.rng import numpy_generator
from server.strategies.cyclic import Cyclic
from simulations import run
from tests.simulations.conftest import Call
from tests.simulations.faulty import trainer


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
    short: Call, tmp_path: Path, spool: str, file: str
) -> None:
    changes = ("training.rounds=2", f"engine.spool={spool}")
    assert short(*changes)[0] == 0
    whole = (tmp_path / "runs/tiny/model.safetensors").read_bytes()
    (tmp_path / "runs").rename(tmp_path / "whole")
    with no_file_above(len(whole) - 1):
        code, _, err = short(*changes)
    assert code == 4
    assert err.startswith(f"medfed: error: runs/tiny/{file}: cannot be written: ")
    assert err.endswith("; make room on that disk, or make it writable; what was finished is kept (--resume)\n")
    assert list((tmp_path / "runs").rglob("*.safetensors.tmp")) == []
    assert short(resume=True)[0] == 0
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


def test_a_truncated_checkpoint_is_refused(short: Call, cut: tuple[Path, bytes]) -> None:
    path = cut[0] / "checkpoints/1/model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    before = {file: file.read_bytes() for file in cut[0].rglob("*") if file.is_file()}
    code, _, err = short(resume=True)
    assert code == 2
    assert err.startswith("medfed: error: runs/tiny/checkpoints/1/model.safetensors: is damaged: ")
    assert "or run the scenario anew with --overwrite" in err
    assert {file: file.read_bytes() for file in cut[0].rglob("*") if file.is_file()} == before


def test_a_damaged_spool_file_costs_its_site_another_training(short: Call, cut: tuple[Path, bytes]) -> None:
    path = cut[0] / "spool/2/site-02.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    assert short(resume=True)[0] == 0
    assert (cut[0] / "model.safetensors").read_bytes() == cut[1]


def test_a_spooled_update_that_no_longer_fits_is_refused(short: Call, cut: tuple[Path, bytes]) -> None:
    """The site joined again with fewer images than it had trained on."""
    path = cut[0] / "spool/2/site-02.safetensors"
    data = path.read_bytes()
    found = re.search(rb'\\"num_examples\\": (\d+)', data)
    assert found is not None
    count = found[1]
    path.write_bytes(data.replace(found[0], found[0].replace(count, b"9" * len(count))))
    code, out, _ = short(resume=True)
    assert code == 3
    assert re.search(r"site site-02 failed: expected num-examples from 1 to \d+ .*\[update\]", out)


def test_what_a_page_of_a_stopped_run_says_does_not_pass_for_the_end(short: Call, tmp_path: Path, tiny: Any) -> None:
    """Stopped, resumed, and killed after the rounds: the page of the stop is gone, so that the run is not complete."""
    assert short(trainer("nan"), "federation.quorum=1.0")[0] == 4
    assert (tmp_path / "runs/tiny/report.html").exists()
    text = (tmp_path / "runs/tiny/scenario.toml").read_text()
    (tmp_path / "runs/tiny/scenario.toml").write_text(text.replace("quorum = 1.0", "quorum = 0.5"))

    def listen(event: events.Event) -> None:
        raise Cut

    with pytest.raises(Cut):
        run.resume(tmp_path / "runs/tiny", listener=listen)
    assert json.loads((tmp_path / "runs/tiny/summary.json").read_text())["status"] == "STOPPED"
    assert not (tmp_path / "runs/tiny/report.html").exists()


def test_what_was_trained_from_other_weights_is_not_taken_from_the_spool(tiny: Any, tmp_path: Path) -> None:
    """In a chain, the first site fails, the second delivers, the power goes; after it, the first does not fail."""
    order = [site for (site,) in Cyclic().stages(["site-01", "site-02", "site-03"], numpy_generator(0, 2, "round"))]
    flag = tmp_path / "flag"
    flaky = {"name": "tests.simulations.faulty:Flaky", "site": order[0], "round": 2, "flag": str(flag)}
    changes = {"baselines.local": False, "baselines.pooled": False, "engine.spool": True, "training.trainer": flaky}
    scenario = tiny(seed=0, **changes, **{"federation.strategy": "cyclic"})
    whole = run.simulate(scenario, out=tmp_path / "whole")

    def cut(event: events.Event) -> None:
        if isinstance(event, events.SiteDone) and (event.round, event.site) == (2, order[1]):
            raise Cut

    flag.touch()
    with pytest.raises(Cut):
        run.simulate(scenario, out=tmp_path / "runs", listener=cut)
    assert len(list((tmp_path / "runs/tiny/spool/2").iterdir())) == 1
    flag.unlink()
    done = run.resume(tmp_path / "runs/tiny")
    assert (done.folder / "model.safetensors").read_bytes() == (whole.folder / "model.safetensors").read_bytes()


def test_an_update_so_large_that_its_square_overflows_ends_the_run(short: Call) -> None:
    """FedAdam divides by the root of the mean square: an infinite one would stand still for ever."""
    code, _, err = short(
        'federation.strategy="fedadam"', "adversary.sites=1", "adversary.behaviour={name='scaled', scale=1e25}"
    )
    assert code == 4
    assert re.search(r'tensor ".*" of the strategy\'s state is not finite, though every update was', err)

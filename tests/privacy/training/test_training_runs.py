"""Runs with private training as a whole: bits, ledger's steps, malicious sites. Oracles: the bytes of another run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, RecordDict
from PIL import Image

from client.private import num_patients, private_trainer
from medfed import events
from medfed.config import parse_scenario
from medfed.data.dataset import open_dataset
from medfed.data.location import resolve_path
from medfed.messages import Request
from medfed.models.initial import initial_model, initial_weights
from medfed.params import difference, flatten, get_weights, load_weights
from medfed.results import RunResult
from privacy.release import Release, total_epsilon
from simulations.run import resume, simulate
from tests.simulations.conftest import FEW

MECHANISM = {"name": "dp_sgd", "clip": 0.5, "noise_multiplier": 1.0}
QUICK = {
    "baselines.local": False,
    "baselines.pooled": False,
    "evaluation.every": 2,
    "training.rounds": 2,
    "training.local_steps": 2,
    "model.width": 2,
    "model.dropout": 0.2,
}


def tiny(**changes: Any) -> Any:
    return parse_scenario(FEW).replace(**(QUICK | {"privacy.mechanism": MECHANISM} | changes))


class Cut(BaseException):
    """What a power cut is to a program."""


def cut_in_round_2(event: events.Event) -> None:
    if isinstance(event, events.SiteDone) and event.round == 2:
        raise Cut


def test_workers_and_a_cut_change_no_bit_nor_epsilon(tmp_path: Path) -> None:
    def kept(folder: Path) -> tuple[bytes, list[float], Any]:
        run = RunResult.load(folder / "tiny")
        epsilons = [line.epsilon for line in run.rounds()]
        return (folder / "tiny" / "model.safetensors").read_bytes(), epsilons, run.summary.privacy

    simulate(tiny(), out=tmp_path / "whole")
    with pytest.raises(Cut):
        simulate(tiny(**{"engine.workers": 2}), out=tmp_path / "cut", listener=cut_in_round_2)
    resume(tmp_path / "cut" / "tiny")
    whole = kept(tmp_path / "whole")
    assert kept(tmp_path / "cut") == whole
    run = RunResult.load(tmp_path / "whole" / "tiny")
    fewest = min(site.num_train for site in run.summary.sites.values())
    rate = min(1.0, 16 / fewest)
    releases = [Release("gaussian", 1.0, 0.5, rate, 2, "record", "replace", number) for number in (1, 2)]
    assert whole[1] == pytest.approx([total_epsilon(releases[:n], 1e-5) for n in (1, 2)], rel=1e-9)
    assert whole[2].replayable
    page = (run.folder / "report.html").read_text()
    assert "Not private" in page
    assert page.count("not protected") == 2, "patients and sites"


def test_data_without_a_split_are_warned_of(tmp_path: Path) -> None:
    """The guarantee is for a fixed split, and one that is made of the data moves with them."""
    draws, rows = np.random.default_rng(1), ["image,label,site"]
    for number in range(24):
        Image.fromarray(draws.integers(0, 256, (28, 28), dtype=np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{('normal', 'pneumonia')[number % 2]},{('north', 'south')[number // 12]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    changes = {
        "data.path": str(tmp_path / "labels.csv"),
        "data.min_images_per_site": 8,
        "data.partition": "natural",
        "training.rounds": 1,
    }
    summary = simulate(tiny(**changes), out=tmp_path).summary
    (line,) = [line for line in summary.warnings if line.startswith("privacy per record is for a fixed split")]
    assert "at north, south the data name none" in line
    assert any(item.startswith("the split of north, south: one was made") for item in summary.privacy.not_covered)


def at(site: str, simulated: bool) -> Context:
    return Context(1, 1, {"site": site, "simulated": simulated}, RecordDict(), {})


def test_only_a_simulation_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEDFED_SIMULATED", raising=False)
    one = tiny(**{"federation.sites": ("site-01", "site-02", "site-03"), "training.transforms": ()})
    dataset = open_dataset(resolve_path(one.data.path), one.data, one.model_task, one.seed)
    data = dataset.site("site-01")

    request = Request(one, "run", 1, initial_weights(one))

    def change(simulated: bool) -> torch.Tensor:
        model = initial_model(one)
        before = get_weights(model)
        private_trainer(request, at("site-01", simulated))(model, data.train, one, "site-01", 1)
        return flatten(difference(get_weights(model), before))

    assert torch.equal(change(True), change(True))
    assert not torch.equal(change(False), change(True))
    assert not torch.equal(change(False), change(False))
    assert num_patients(one, data.train) == 0
    assert num_patients(one.replace(**{"privacy.mechanism.unit": "patient"}), data.train) == len(
        set(data.train.patients)
    )


def test_a_malicious_site_adds_no_noise_and_others_do(tmp_path: Path) -> None:
    """With noise of 100 clips and plain SGD, honest updates are far longer than what training alone gives."""
    changes = {
        "training.rounds": 1,
        "record.rounds": (1,),
        "adversary.sites": 1,
        "adversary.behaviour": {"name": "scaled", "scale": 1.0},
        "training.optimizer": {"name": "sgd", "lr": 0.01},
        "privacy.mechanism.noise_multiplier": 1e4,
    }
    run = simulate(tiny(**changes), out=tmp_path)
    (bad,) = parse_scenario((run.folder / "scenario.toml").read_text()).malicious_sites
    lengths = {
        path.stem: float(flatten(load_weights(path)).norm())
        for path in (run.folder / "recorded" / "1").glob("*.safetensors")
        if not path.name.startswith("global")
    }
    assert len(lengths) == 3
    for site, length in lengths.items():
        assert (length < 10.0) == (site == bad), lengths

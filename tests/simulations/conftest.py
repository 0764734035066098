"""Tiny real federations: bundled images, small models, seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medfed import cli

Call = Callable[..., tuple[int, str, str]]

SHORT = ("baselines.local=false", "baselines.pooled=false", "training.rounds=1", "training.local_steps=1")

TINY = """
name = "tiny"
task = { kind = "classification", classes = ["normal", "pneumonia"] }
model = { name = "small_cnn", width = 4 }

[data]
path = "package:medfed/data/samples/pneumoniamnist/pneumoniamnist.npz"
image_size = 28
partition = { name = "dirichlet", num_sites = 3, alpha = 0.5 }

[training]
rounds = 2
local_steps = 3
batch_size = 16
loss = "cross_entropy"
transforms = ["affine"]

[evaluation]
resamples = 100

[engine]
workers = 1
"""

FEW = TINY.replace("package:medfed/data/samples", str(Path(__file__).parents[1] / "samples")).replace(
    "pneumoniamnist/pneumoniamnist.npz", "pneumoniamnist.npz"
)
"""The same on a tenth of the images, where none of the others is needed: reading and scoring them is most of a run."""


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """``tiny(**{"training.rounds": 1})``: a small scenario on PneumoniaMNIST with dotted keys changed."""
    from medfed.config import parse_scenario

    def make(**changes: Any) -> Any:
        return parse_scenario(FEW).replace(**changes)

    return make


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    """The same as a file."""
    (tmp_path / "tiny.toml").write_text(FEW)
    return tmp_path / "tiny.toml"


@pytest.fixture
def short(tiny_file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """``short("seed=2")`` or ``short(resume=True)``: a run of one step -> exit code, what is on the console, errors."""
    monkeypatch.chdir(tiny_file.parent)
    monkeypatch.setenv("COLUMNS", "1000")

    def call(*changes: str, resume: bool = False) -> tuple[int, str, str]:
        options = [part for change in (*SHORT, *changes) for part in ("--set", change)]
        arguments = ["--resume", "runs/tiny"] if resume else ["tiny.toml", *options]
        code = cli.run(["simulate", *arguments], cli.COMMANDS)
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return call

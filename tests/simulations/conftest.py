"""Tiny real federations: bundled images, small models, seconds."""

from collections.abc import Callable
from typing import Any

import pytest

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


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """``tiny(**{"training.rounds": 1})``: a small scenario on PneumoniaMNIST with dotted keys changed."""
    from medfed.config import parse_scenario

    def make(**changes: Any) -> Any:
        return parse_scenario(TINY).replace(**changes)

    return make

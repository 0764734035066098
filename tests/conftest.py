"""What all tests share: where the repository and real data lie, one torch thread, fixed hypothesis examples.

Nothing of ours may be imported here at import time: jaxtyping's checks are hooked in afterwards.
"""

import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

for variable in ("FLWR_TELEMETRY_ENABLED", "RAY_USAGE_STATS_ENABLED"):
    os.environ.setdefault(variable, "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")

# No deadline: a slow machine is no bug. Derandomized: the same examples in every run.
hypothesis.settings.register_profile("medfed", deadline=None, derandomize=True)
hypothesis.settings.load_profile("medfed")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Results must not depend on the number of cores."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """``shared_data("skin_ham10000")`` is the folder of that real data set; skips the test where it is absent."""

    def folder(name: str) -> Path:
        path = ROOT.parent / "shared" / "data" / name
        if not path.is_dir():
            pytest.skip(f"real data set {name} is not at ../shared/data of the repository")
        return path

    return folder

"""What a run ran on: versions, git state, hardware. Enough to repeat it, nothing that names a person."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from medfed.devices import current_device
from medfed.training.precision import has_bfloat16

_PACKAGES = ("medfed", "torch", "flwr", "monai", "opacus", "torchattacks", "numpy", "scipy", "scikit-learn", "pydantic")


def describe_environment(deterministic: bool, command: str) -> dict[str, Any]:
    """The content of ``environment.json``."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "deterministic": deterministic,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),  # which kernels run, and so the last bits
        "bfloat16": has_bfloat16(),  # whether training.precision = "bfloat16" was taken at its word
        "cpu_count": os.cpu_count(),
        "device": current_device().type,  # where models are trained and evaluated
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "versions": {name: _version(name) for name in _PACKAGES},
        "git": _git_state(Path(__file__).parent),
    }


def _cpu_model(path: Path = Path("/proc/cpuinfo")) -> str | None:
    """The processor's name as Linux gives it; None where it gives none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether the tree differs from it; None outside a checkout."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()

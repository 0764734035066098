"""All tests of the guard on release 3.3.0 as well, where MEDFED_TORCHATTACKS_330 names a folder that holds it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OLDER = "MEDFED_TORCHATTACKS_330"
FILES = sorted(set(Path(__file__).parent.glob("test_torchattacks_*.py")) - {Path(__file__)})


@pytest.mark.skipif(OLDER not in os.environ, reason=f"{OLDER} names no folder with torchattacks 3.3.0")
def test_all_of_this_holds_on_release_3_3_0() -> None:
    folder = os.environ[OLDER]
    root = Path(__file__).parents[3]
    environment = {name: value for name, value in os.environ.items() if name != OLDER}
    environment["PYTHONPATH"] = os.pathsep.join([folder, str(root)])
    version = subprocess.run(
        [sys.executable, "-c", "import torchattacks; print(torchattacks.__version__)"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout.strip() == "3.3.0"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *map(str, FILES)],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]

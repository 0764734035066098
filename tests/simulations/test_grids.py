"""One app, three grids: the same scenario gives the same bits on a SuperLink with two SuperNodes, through
``flwr run .`` on Flower's simulation runtime, and on the in-process grid.

Oracle: the bytes of ``model.safetensors`` that the in-process grid writes. Everything listens on 127.0.0.1, runs
from an empty folder, and is ended by the test; a run that does not finish in time is a failure, not a skip.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
import tomli_w

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DEADLINE_SECONDS = 420
SITES = ("fluo_360", "histo_white_bg")

SCENARIO = """
name = "grids"
task = { kind = "segmentation", classes = ["background", "nucleus"], head = "sigmoid" }
data = { image_size = 32, channels = 3, path = "package:medfed/data/samples/nuclei/labels.csv" }
model = { name = "unet", width = 4, depth = 2 }
training = { rounds = 2, local_steps = 3, batch_size = 4, loss = "dice_ce", transforms = ["flip", "intensity"] }
federation = { strategy = { name = "fedavg", weighting = "examples" } }
baselines = { local = false, pooled = false }
evaluation = { resamples = 100, every = 2 }
"""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, bytes]:
    """The scenario as it travels, and the model that the in-process grid makes of it."""
    from medfed.config import parse_scenario
    from simulations.run import simulate

    out = tmp_path_factory.mktemp("reference")
    scenario = parse_scenario(SCENARIO).replace(**{"data.sites": SITES})
    run = simulate(scenario, out=out)
    travelling = scenario.replace(**{"federation.sites": SITES}).travelling()
    return travelling.to_toml(), (run.folder / "model.safetensors").read_bytes()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Flower's home and an empty working folder of our own, nothing reported, nothing installed."""
    (tmp_path / "flwr").mkdir()
    (tmp_path / "empty").mkdir()
    return os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "FLWR_HOME": str(tmp_path / "flwr"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.2",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ADDRESS": "local",  # and not a cluster that this machine may know of
        "MEDFED_DATA": str(ROOT / "medfed/data/samples/nuclei/labels.csv"),
    }


def test_superlink_with_two_supernodes(
    reference: tuple[str, bytes], environment: dict[str, str], tmp_path: Path
) -> None:
    del environment["MEDFED_DATA"]  # the sites' data come from --node-config alone
    scenario, expected = reference
    data = ROOT / "medfed/data/samples/nuclei/labels.csv"
    with ExitStack() as stack:
        port = stack.enter_context(superlink(environment, tmp_path))
        for site in SITES:
            command = ["flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}"]
            command += ["--port", str(free_port()), "--node-config", f'site="{site}" data="{data}"']
            stack.enter_context(process(command, environment, tmp_path, site))
        assert flwr_run(scenario, environment, tmp_path, port) == expected


def test_flwr_run_on_flowers_simulation_runtime(
    reference: tuple[str, bytes], environment: dict[str, str], tmp_path: Path
) -> None:
    scenario, expected = reference
    with superlink(environment, tmp_path, "--simulation") as port:
        assert flwr_run(scenario, environment, tmp_path, port, {"num-supernodes": len(SITES)}) == expected


@contextmanager
def superlink(environment: dict[str, str], folder: Path, *options: str) -> Iterator[int]:
    """A SuperLink on a free port; ready when its health endpoint answers."""
    port = free_port()
    command = ["flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", str(port), *options]
    with process(command, environment, folder, "superlink"):
        wait_until(lambda: healthy(port), "the SuperLink does not answer", folder)
        yield port


@contextmanager
def process(command: list[str], environment: dict[str, str], folder: Path, name: str) -> Iterator[None]:
    """A process of the block, in the empty folder, with its log beside it."""
    with (folder / f"{name}.log").open("wb") as log:
        running = subprocess.Popen(command, env=environment, cwd=folder / "empty", stdout=log, stderr=log)
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def flwr_run(
    scenario: str, environment: dict[str, str], folder: Path, port: int, options: dict[str, int] | None = None
) -> bytes:
    """``flwr run`` this repository and return the bytes of the model that it writes."""
    connection = {"address": f"127.0.0.1:{port}", "insecure": True} | ({"options": options} if options else {})
    config = {"superlink": {"default": "test", "test": connection}}
    (folder / "flwr" / "config.toml").write_text(tomli_w.dumps(config))
    (folder / "run.toml").write_text(tomli_w.dumps({"scenario": scenario, "out": str(folder / "runs")}))
    command = ["flwr", "run", str(ROOT), "test", "--run-config", str(folder / "run.toml"), "--format", "json"]
    done = subprocess.run(command, env=environment, cwd=folder / "empty", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    result = folder / "runs" / "grids"
    wait_until((result / "summary.json").exists, "the run does not end", folder)
    status = json.loads((result / "summary.json").read_text())["status"]
    assert status == "COMPLETED", logs(folder)
    return (result / "model.safetensors").read_bytes()


def wait_until(condition, complaint: str, folder: Path) -> None:
    """Poll ``condition``; fail with the logs after DEADLINE_SECONDS."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{complaint}\n{logs(folder)}"
        time.sleep(0.5)


def logs(folder: Path) -> str:
    """The ends of all logs."""
    return "\n".join(
        f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in sorted(folder.glob("*.log"))
    )


def healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

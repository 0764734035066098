"""Null-client rounds: what a round costs when training costs nothing.

Ours is the real round (sampling, packing, exchange, checks, fold, strategy) on the in-process grid; the peer is
Flower's FedAvg on its Ray runtime, from ``.venv-peers`` (``make peers``). The client of both unpacks the weights
and sends them back. Reported: the median of the seconds per round, the first round (start-up) not counted.

    python -m simulations.benchmarks.engine [--rounds 7]
"""

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path

import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from medfed import messages
from medfed.config import Scenario, parse_scenario
from medfed.determinism import deterministic
from medfed.run_folder import RunFolder
from medfed.types import Update, Weights
from server.federation import sampled_sites
from server.roster import join
from server.rounds import run_round
from simulations.benchmarks.report import Row, print_rows
from simulations.grid import InProcessGrid

ROOT = Path(__file__).parents[2]
PEER_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PEER_SCRIPT = Path(__file__).parent / "peers" / "flower_ray.py"
PEER_TIMEOUT_SECONDS = 600
NUM_TENSORS = 20

CASES = (  # parameters, cohort, nodes, goal in seconds per round (None: reported, not required)
    (500_000, 10, 10, None),
    (500_000, 50, 1000, 0.30),
)

app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Introduce the site."""
    info = messages.SiteInfo(str(context.node_config["site"]), 1, 0, 0, ())
    return Message(messages.info_reply(info), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Unpack the weights and send them back."""
    request = messages.read_request(message.content)
    update = Update(str(context.node_config["site"]), request.weights, 1, 1, {"loss": 0.0})
    return Message(messages.update_reply(update, 0.0), reply_to=message)


def null_scenario(nodes: int, cohort: int) -> Scenario:
    """A scenario whose model and data are never touched."""
    sites = ", ".join(f'"s{i:04d}"' for i in range(nodes))
    return parse_scenario(f"""
        name = "null"
        model = "small_cnn"
        task = {{ kind = "classification", classes = ["a", "b"] }}
        data = {{ image_size = 28 }}
        training = {{ rounds = 1000, local_steps = 1, batch_size = 1, loss = "cross_entropy" }}
        federation = {{ sites_per_round = {cohort}, sites = [{sites}] }}
    """)


def ours(parameters: int, cohort: int, nodes: int, rounds: int) -> list[float]:
    """Seconds of every round."""
    scenario = null_scenario(nodes, cohort)
    grid = InProcessGrid(app, {site: {"site": site} for site in scenario.federation.sites})
    weights: Weights = {f"t{i}": torch.randn(parameters // NUM_TENSORS) for i in range(NUM_TENSORS)}
    seconds = []
    with deterministic(True):
        roster = join(grid, scenario)
        for number in range(1, rounds + 1):
            started = time.perf_counter()
            roster.refresh(grid, scenario)
            chosen = sampled_sites(scenario, number)
            weights = run_round(grid, scenario, roster, chosen, number, weights, {}, RunFolder(Path())).weights
            weights = {name: value * 0.5 for name, value in weights.items()}  # w + (w - 0): keep it from overflowing
            seconds.append(time.perf_counter() - started)
    return seconds


def peer(parameters: int, cohort: int, nodes: int, rounds: int) -> tuple[list[float], str]:
    """Seconds of every round of Flower + Ray, or none and the reason."""
    if not PEER_PYTHON.exists():
        return [], "no .venv-peers: run `make peers`"
    command = [str(PEER_PYTHON), str(PEER_SCRIPT), *map(str, (parameters, NUM_TENSORS, cohort, nodes, rounds))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_TIMEOUT_SECONDS, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        return [], f"{type(error).__name__}: {str(getattr(error, 'stderr', ''))[-200:]}"
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds, ""


def main() -> None:
    """Run all cases and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="rounds per case, the first not counted")
    rounds = parser.parse_args().rounds
    rows = []
    for parameters, cohort, nodes, goal in CASES:
        theirs, reason = peer(parameters, cohort, nodes, rounds)
        flower = statistics.median(theirs[1:]) if theirs else None
        mine = statistics.median(ours(parameters, cohort, nodes, rounds)[1:])
        limit = goal if goal is not None else (flower or mine)
        case = f"null client, {parameters / 1e6:g} M parameters, {cohort}/{nodes}"
        rows.append(Row(case, mine, flower, "s/round", "lower", limit, reason))
    print_rows("engine", rows)


if __name__ == "__main__":
    main()

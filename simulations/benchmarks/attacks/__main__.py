"""Strength and cost of our ensemble beside pyautoattack 0.2.0, its version "standard", on five models of real films.

Robust accuracy may be at most a point above the peer's; CPU seconds at most a twentieth of the peer's on a model that
was not trained to resist, at most a third on one that was. Films of shared/data that are not there are left out.

    python -m simulations.benchmarks.attacks [--models FOLDER] [--split val] [--only NAME ...]
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from medfed.data.location import resolve_path
from medfed.errors import DataError
from simulations.benchmarks.attacks.models import RECIPES, Recipe, scenario, trained
from simulations.benchmarks.processes import fresh
from simulations.benchmarks.report import Row, print_rows

POINT = 0.01
"""By how much our robust accuracy may be above the peer's."""
UNDEFENDED, ROBUST = 1 / 20, 1 / 3
"""The most of the peer's CPU seconds that ours may take."""


def compared(name: str, folder: Path, split: str) -> list[Row]:
    """Both sides on one model, each in a process of its own."""
    recipe = RECIPES[name]
    trained(recipe, folder)
    command = ("simulations.benchmarks.attacks.case",)
    mine = fresh(*command, "ours", name, folder, "--split", split)
    theirs: dict[str, Any] | None = None
    reason = ""
    try:
        theirs = fresh(*command, "peer", name, folder, "--split", split)
    except RuntimeError as error:
        reason = str(error)
    case = f"{name}, {mine['films']} films, eps {recipe.eps:g}/255, right unattacked {mine['clean']:.3f}"
    return rows(case, recipe, mine, theirs, reason)


def rows(case: str, recipe: Recipe, mine: dict[str, Any], theirs: dict[str, Any] | None, reason: str) -> list[Row]:
    """Strength and cost; without the peer there is no goal."""
    share = ROBUST if recipe.robust else UNDEFENDED
    robust, seconds = (theirs["robust"], theirs["seconds"]) if theirs else (None, None)
    return [
        Row(
            f"{case}: robust accuracy",
            mine["robust"],
            robust,
            "1",
            "lower",
            None if robust is None else robust + POINT,
            reason,
        ),
        Row(
            f"{case}: attack",
            mine["seconds"],
            seconds,
            "CPU s",
            "lower",
            None if seconds is None else share * seconds,
            reason,
        ),
    ]


def available(recipe: Recipe) -> bool:
    """Whether its films are there; says so where they are not."""
    path = scenario(recipe.data).data.path
    try:
        resolve_path(path)
    except DataError:
        print(f"left out, {path} is not there")
        return False
    return True


def main() -> None:
    """Train or take the models, attack them, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder in which trained models are kept; default: none is kept")
    parser.add_argument("--split", choices=["val", "test"], default="test", help="val: to tune the attack on")
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.models or Path(scratch)).resolve()
        for name in filter(lambda name: available(RECIPES[name]), arguments.only):
            found += compared(name, folder, arguments.split)
    print_rows("attacks", found)


if __name__ == "__main__":
    main()

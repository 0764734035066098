"""A complete round on disk: one folder of safetensors files, each of which says of which scenario it is."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError

from medfed.config import Scenario
from medfed.errors import RunFolderError
from medfed.params import load_metadata, load_weights, save_weights
from medfed.types import Weights

_FILES = {"weights": "model.safetensors", "state": "state.safetensors", "best": "best.safetensors"}
_REMEDY = "restore the folder from a backup, or run the scenario anew with --overwrite"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A complete round: global weights, state of strategy and aggregator, weights of the best round if it is kept.

    ``unstacked`` are the rounds so far in which batches of sites were trained one by one (``engine.vectorise``).
    """

    round: int
    weights: Weights
    state: Weights
    best: Weights = field(default_factory=dict)
    unstacked: tuple[int, ...] = ()


def damaged(path: Path, cause: str) -> RunFolderError:
    """What is said of a file of a run that is not as it was written."""
    return RunFolderError(f"{path}: is damaged: {' '.join(cause.split())[:200]}; {_REMEDY}")


def _digest(scenario: Scenario) -> str:
    return hashlib.sha256(scenario.travelling_text().encode()).hexdigest()


def write_checkpoint(folder: Path, scenario: Scenario, checkpoint: Checkpoint) -> None:
    """Write every part of ``checkpoint`` into ``folder``.

    safetensors sorts the entries by name. Their own order is kept beside them: a rule that sees an update as one vector
    sums in that order, and may remember such a vector.

    Raises:
        WriteError: it cannot be written.
    """
    about = {"round": checkpoint.round, "scenario": _digest(scenario), "unstacked": checkpoint.unstacked}
    for name, file in _FILES.items():
        if name != "best" or checkpoint.best:
            weights: Weights = getattr(checkpoint, name)
            save_weights(folder / file, weights, about | {"order": list(weights)})


def read_checkpoint(folder: Path, scenario: Scenario) -> Checkpoint:
    """The checkpoint in ``folder``, which is named by its round.

    Raises:
        RunFolderError: it cannot be read, or is of another scenario.
    """
    parts: dict[str, Weights] = {}
    unstacked: tuple[int, ...] = ()
    for name, file in _FILES.items():
        path = folder / file
        if name == "best" and not path.exists():
            continue
        try:
            weights, about = load_weights(path), load_metadata(path)
            parts[name] = {entry: weights[entry] for entry in about["order"]}
            unstacked = tuple(about["unstacked"])
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise damaged(path, str(error)) from error
        if about.get("scenario") != _digest(scenario):
            raise RunFolderError(f"{path}: is of another scenario than the scenario.toml of its run; {_REMEDY}")
    return Checkpoint(int(folder.name), **parts, unstacked=unstacked)

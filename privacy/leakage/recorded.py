"""One recorded message of a run, read and checked: what the server saw of one site in one round.

It is the update after compression and, where the site adds noise, after that; what the server clips or noises comes
later. Example counts and weights of the mean are the server's and change nothing in it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from medfed.checkpoints import damaged
from medfed.config import Scenario
from medfed.errors import MedfedError
from medfed.files import file_name
from medfed.models.initial import initial_weights
from medfed.params import load_metadata, load_weights
from medfed.types import Weights

GLOBAL = "global.weights.safetensors"
_REMEDY = "run the scenario again with [record] rounds = [1, -1]"


class LeakageError(MedfedError):
    """A recorded update cannot be attacked; the message says why and what would work."""


class UnmaskedError(LeakageError):
    """A masked update has entries that are not masked, and not zero.

    Attributes:
        entries: their names, sorted.
    """

    def __init__(self, message: str, entries: tuple[str, ...]) -> None:
        super().__init__(message)
        self.entries = entries


@dataclass(frozen=True, eq=False)
class Recorded:
    """A message and the weights that it started from.

    Attributes:
        site: who sent it.
        round: from 1.
        weights: global weights of the round, the whole state dict; entries that never travel at their initial values.
        change: local minus global, of the entries that travel.
        num_examples: training images that the site holds, as it said.
        num_steps: optimizer steps that it took, as it said.
    """

    site: str
    round: int
    weights: Weights
    change: Weights
    num_examples: int
    num_steps: int


def recorded_messages(folder: Path) -> list[tuple[int, str]]:
    """(round, site) of every recorded update, in that order; none where nothing was recorded."""
    found = []
    for path in (folder / "recorded").glob("*/*.safetensors"):
        if path.parent.name.isdigit() and path.name != GLOBAL:
            found.append((int(path.parent.name), str(_metadata(path).get("site", path.stem))))
    return sorted(found)


def read_recorded(folder: Path, scenario: Scenario, round_number: int, site: str) -> Recorded:
    """What ``site`` sent in round ``round_number``.

    Args:
        folder: of the run.
        scenario: of the run; its architecture must be that of the update.
        round_number: from 1, or from the end where negative, as in ``record.rounds``.
        site: its name.

    Raises:
        LeakageError: nothing was recorded, not this round or not of this site; the global weights are not there; the
            update is masked, or of another architecture. UnmaskedError: it is masked in part. RunFolderError: a file
            is damaged.
    """
    number = round_number if round_number > 0 else scenario.training.rounds + 1 + round_number
    path = _require_there(folder, number, site)
    if not path.with_name(GLOBAL).is_file():
        raise LeakageError(
            f"{path.with_name(GLOBAL)}: the global weights of round {number} are missing, without which a change says "
            f"nothing; {_REMEDY}"
        )
    change, metadata, shared = _load(path), _metadata(path), _load(path.with_name(GLOBAL))
    full = initial_weights(scenario)
    _require_not_masked(path, change, metadata, full)
    for what, found in (("the global weights", shared), ("the update", change)):
        _require_architecture(path, what, found, full)
    if change.keys() != shared.keys():
        raise LeakageError(f"{path}: has other entries than the global weights of its round; {_REMEDY}")
    numbers = (int(metadata.get("num_examples", 0)), int(metadata.get("num_steps", 0)))
    if min(numbers) < 1:
        raise LeakageError(
            f"{path}: says nothing of images and steps; expected num_examples and num_steps of 1 or more"
        )
    return Recorded(site, number, full | shared, change, *numbers)


def _require_there(folder: Path, number: int, site: str) -> Path:
    """The file of the update."""
    messages = recorded_messages(folder)
    if not messages:
        raise LeakageError(f"{folder}: the run recorded no updates; {_REMEDY}")
    rounds = sorted({recorded for recorded, _ in messages})
    if number not in rounds:
        known = ", ".join(map(str, rounds))
        raise LeakageError(f"{folder}: round {number} was not recorded; there are: {known} (record.rounds)")
    sites = [name for recorded, name in messages if recorded == number]
    if site not in sites:
        raise LeakageError(
            f'{folder}: no update of site "{site}" was recorded in round {number}; there are: {", ".join(sites)}'
        )
    return folder / "recorded" / str(number) / f"{file_name(site)}.safetensors"


def _require_not_masked(path: Path, change: Weights, metadata: dict[str, Any], full: Weights) -> None:
    """A masked value is an integer modulo a power of two (Bonawitz et al. 2017) in the place of a real one."""
    masked = [name for name, value in change.items() if name in full and _real(full[name]) and not _real(value)]
    plain = tuple(sorted(n for n, v in change.items() if n in full and _real(full[n]) and _real(v) and bool(v.any())))
    if masked and plain:
        raise UnmaskedError(
            f"{path}: is masked (secure aggregation) but for {plain[0]} and {len(plain) - 1} further entries, which "
            "the server sees as they are; install the same medfed at the site",
            plain,
        )
    if masked or metadata.get("masked"):
        raise LeakageError(
            f"{path}: is masked (secure aggregation), so that a site's message says nothing by itself; attack what the "
            "server learns instead, the sum of its round"
        )


def _real(value: Any) -> bool:
    return bool(value.is_floating_point())


def _require_architecture(path: Path, what: str, found: Weights, full: Weights) -> None:
    wrong = [name for name, value in found.items() if name not in full or value.shape != full[name].shape]
    if wrong or not found:
        name = wrong[0] if wrong else "no entry at all"
        got = f"{tuple(found[name].shape)}" if wrong else "nothing"
        expected = str(tuple(full[name].shape)) if name in full else "no entry of that name"
        raise LeakageError(
            f"{path}: {what} does not fit the scenario's model: {name} has {got}, the model {expected}; name the run "
            "that it was recorded in"
        )


def _load(path: Path) -> Weights:
    try:
        return load_weights(path)
    except (OSError, SafetensorError) as error:
        raise damaged(path, str(error)) from error


def _metadata(path: Path) -> dict[str, Any]:
    try:
        return load_metadata(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise damaged(path, str(error)) from error

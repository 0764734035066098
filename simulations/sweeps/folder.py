"""The folder of a sweep: whose it is, and that one process at a time works in it."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from medfed.errors import RunFolderError
from medfed.files import write_text_atomic
from medfed.lock import LOCK_FILE, locked
from medfed.run_folder import STOP_FILE, check_free
from simulations.fingerprints import require_same
from simulations.sweeps.baselines import baseline_folder
from simulations.sweeps.plan import Plan

_SWEEP = "sweep.toml"
_BEFORE_A_SWEEP = {f"{_SWEEP}.tmp", LOCK_FILE}
"""What a sweep leaves that was killed in its first moment."""


@contextmanager
def claimed(plan: Plan, out: Path) -> Iterator[Path]:
    """Make the sweep's folder, or see that the one that is there is this very sweep's; others are kept out meanwhile.

    Raises:
        RunFolderError: it belongs to another sweep, to one whose data were others, or to none; or a folder in it is no
            run's; or another process is at work there.
    """
    folder = out / plan.name
    _refuse_foreign(folder)  # before the lock, which is a file in it
    with locked(folder):
        _refuse_others(plan, folder)
        (folder / STOP_FILE).unlink(missing_ok=True)
        write_text_atomic(folder / _SWEEP, tomli_w.dumps(plan.to_dict()))
        yield folder


def _refuse_foreign(folder: Path) -> None:
    if (folder / _SWEEP).is_file() or not folder.exists():
        return
    if not folder.is_dir() or {entry.name for entry in folder.iterdir()} - _BEFORE_A_SWEEP:
        raise RunFolderError(f"{folder}: exists and is not the folder of a sweep (no {_SWEEP}); choose another --out")


def _refuse_others(plan: Plan, folder: Path) -> None:
    if (folder / _SWEEP).is_file():
        _compare(folder / _SWEEP, plan)
    for point in plan.points:
        for scenario in point.scenarios.values():
            check_free(folder / scenario.name, overwrite=True)
            for place in (folder / scenario.name, baseline_folder(folder, scenario)):
                require_same(place, plan.data[scenario.name], "choose another --out")


def _compare(written: Path, plan: Plan) -> None:
    """Refuse a folder whose ``sweep.toml`` is not that of ``plan``, naming the first keys that differ."""
    try:
        found = tomllib.loads(written.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{written}: is damaged: {error}; remove the folder, or choose another --out") from error
    before, now = _flat(found), _flat(tomllib.loads(tomli_w.dumps(plan.to_dict())))
    changed = [key for key in sorted(before.keys() | now.keys()) if before.get(key) != now.get(key)]
    if list(found.get("grid", {})) != [axis.key for axis in plan.axes]:
        changed = changed or ["grid (order of its keys)"]
    if changed:
        key = changed[0]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise RunFolderError(
            f"{written.parent}: holds another sweep: {key}{more} was {before.get(key)}, is now {now.get(key)}; "
            "give the same command to go on with it, or choose another --out or --set name=..."
        )


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value of nested tables."""
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        key: value
        for name, inner in values.items()
        for key, value in _flat(inner, f"{prefix}.{name}" if prefix else name).items()
    }

"""What the result of a section depends on, as one digest: a section is kept under it, and used again only under it."""

import hashlib
import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from medfed import __version__
from medfed.audit.contract import AuditContext
from medfed.audit.digests import dataset_digest, files_digest
from medfed.audit.results import RunIdentity
from medfed.config import to_dict

_PLUGIN = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*):[A-Za-z_]\w*")
"""A user's own plug-in, as it is named in a scenario, a setting or on the command line."""


def run_inputs(context: AuditContext, identity: RunIdentity) -> list[Any]:
    """What the sections of an audit may read, in a form that JSON holds; one pass over data and recorded updates."""
    run, recorded = context.run, context.run.folder / "recorded"
    return [
        __version__,
        identity.model_dump(mode="json"),
        context.seed,
        context.data_change,
        dataset_digest(context.dataset),
        files_digest(recorded, recorded.rglob("*")) if context.trained_here else "",
        run.summary.model_dump(mode="json", exclude={"seconds"}),
        [line.model_dump(mode="json", exclude={"seconds"}) for line in run.rounds],
        run.environment,
        _sources(to_dict(context.scenario)),
    ]


def section_key(inputs: list[Any], name: str, settings: dict[str, Any]) -> str:
    """SHA-256 of ``inputs``, the section's name and settings, and the source of what in these is the user's own."""
    parts = [inputs, name, settings, _sources([name, settings])]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _sources(values: Any) -> dict[str, str]:
    """Digests of the Python files of every user's own plug-in that is named somewhere in ``values``.

    These are all files of its outermost package, since a plug-in may use any of them; or the file, if that is no
    package. What it imports from elsewhere is not seen.
    """
    tops = {found[1].partition(".")[0] for text in _texts(values) if (found := _PLUGIN.fullmatch(text))}
    return {top: _source(top) for top in sorted(tops)}


def _source(module: str) -> str:
    """Of a module or package that can be imported; of nothing where it cannot, or has no files."""
    try:
        spec = find_spec(module)
    except ValueError:  # it is imported, and does not say from where
        spec = None
    if spec is None:
        return ""
    if spec.submodule_search_locations is not None:
        folders = [Path(folder) for folder in spec.submodule_search_locations]
        return " ".join(files_digest(folder, folder.rglob("*.py")) for folder in folders)
    file = Path(spec.origin or "")
    return files_digest(file.parent, [file])


def _texts(values: Any) -> Iterator[str]:
    """Every text in nested mappings and sequences, keys left out."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict):
        for inner in values.values():
            yield from _texts(inner)
    elif isinstance(values, list | tuple):
        for inner in values:
            yield from _texts(inner)

"""Where a data file lies: a path of the file system, or a file that is bundled with the package."""

from importlib.resources import files
from pathlib import Path

from medfed.errors import DataError

PACKAGE_PREFIX = "package:"


def resolve_path(path: str) -> Path:
    """Turn ``data.path`` of a scenario into the path of an existing file.

    Args:
        path: a file path, or ``package:medfed/data/samples/...`` for a file inside the installed package.

    Raises:
        DataError: there is no such file.
    """
    if not path:
        raise DataError("data.path is empty; expected the path of a manifest (.csv) or a MedMNIST file (.npz)")
    found = _bundled(path.removeprefix(PACKAGE_PREFIX)) if path.startswith(PACKAGE_PREFIX) else Path(path)
    if found.is_dir():
        raise DataError(f"{found}: is a folder; expected a manifest (.csv) or a MedMNIST file (.npz) inside it")
    if not found.is_file():
        raise DataError(f"{found}: no such file; check the path (a relative data.path starts at the scenario's folder)")
    return found


def _bundled(inside: str) -> Path:
    package, _, rest = inside.partition("/")
    if package != "medfed" or ".." in Path(rest).parts:
        raise DataError(f'data.path "{PACKAGE_PREFIX}{inside}": expected {PACKAGE_PREFIX}medfed/data/samples/...')
    return Path(str(files("medfed"))) / rest

"""The scenarios that come with medfed, by their names."""

from pathlib import Path

from medfed.errors import ScenarioError

FOLDER = Path(__file__).parent / "scenarios"


def scenario_file(given: Path) -> Path:
    """``given``, where there is such a file; else the bundled scenario of that name, with or without ``.toml``.

    Raises:
        ScenarioError: there is neither; names the bundled ones.
    """
    if given.exists():
        return given
    known = sorted(path.stem for path in FOLDER.glob("*.toml"))
    name = given.name.removesuffix(".toml")
    if given.name == str(given) and name in known:
        return FOLDER / f"{name}.toml"
    raise ScenarioError(
        f"{given}: no such file, and no bundled scenario; expected the path of a TOML file, or one of: "
        f"{', '.join(known)}"
    )

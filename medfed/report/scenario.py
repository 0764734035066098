"""The scenario as the page may show it: everything that ran, without where the images lie."""

import tomllib

import tomli_w

from medfed.data.location import PACKAGE_PREFIX

DEFAULT_RESAMPLES = 1000


def shown_scenario(text: str | None, notes: list[str]) -> str | None:
    """The scenario without a ``data.path`` of the file system; None, with a note, where it cannot be read."""
    if text is None:
        return None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        notes.append("scenario.toml: not valid TOML (left out).")
        return None
    data = values.get("data")
    if isinstance(data, dict) and not str(data.get("path", "")).startswith(PACKAGE_PREFIX):
        data.pop("path", None)
    return tomli_w.dumps(values)


def num_resamples(text: str | None) -> int:
    """How many bootstrap resamples the scenario asked for; the default where it cannot be read."""
    try:
        found = tomllib.loads(text or "").get("evaluation", {}).get("resamples", DEFAULT_RESAMPLES)
    except (tomllib.TOMLDecodeError, AttributeError):
        return DEFAULT_RESAMPLES
    return found if isinstance(found, int) else DEFAULT_RESAMPLES

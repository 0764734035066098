"""Packages that a tracker needs and medfed does not."""

import importlib.util

from medfed.errors import ScenarioError


def require(tracker: str, module: str, package: str) -> None:
    """See that ``module`` can be imported, without importing it.

    Raises:
        ScenarioError: it cannot; names what to install.
    """
    if importlib.util.find_spec(module) is None:
        raise ScenarioError(
            f'key "tracking.trackers": {tracker} needs a package that is not installed; run: pip install {package}'
        )

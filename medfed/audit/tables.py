"""Where the sections come from: tables named as strings, imported when they are asked for.

``SECTIONS`` is all of them as one table, in the order of the tables; it is put together on demand.
"""

from importlib import import_module
from typing import Any

TABLES: tuple[str, ...] = ("medfed.audit.own:SECTIONS", "privacy.sections:SECTIONS", "robustness.sections:SECTIONS")
"""``package.module:TABLE``, each a literal name -> section class."""

ANNOUNCED: dict[str, str] = {
    "identity": "Model and data",
    "performance": "Performance without an attack",
    "domain_shift": "Other scanners, other hospitals",
    "privacy_statement": "Privacy statement and ledger",
    "gradient_inversion": "Rebuilding images from updates",
    "membership": "Telling who was in the training data",
    "adversarial": "Adversarial images",
    "poisoning": "Poisoned sites",
    "silent_failure": "Failing without a warning",
    "shortcuts": "Right for the wrong reason",
    "subgroups": "Worse for some patients",
    "explanations": "Where the model looks",
}
"""What a full report has, in its order: names and titles only. What no table holds is listed as not tested."""

ESSENTIAL = frozenset({"identity"})
"""What the rest of a report is about: no budget leaves it out, and it is taken anew for every report."""


def __getattr__(name: str) -> Any:
    if name == "SECTIONS":
        return _sections()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _sections() -> dict[str, Any]:
    """Name -> section class, those announced first and in that order.

    Raises:
        ValueError: two tables have the same name.
    """
    found: dict[str, Any] = {}
    for target in TABLES:
        module, _, attribute = target.partition(":")
        table = getattr(import_module(module), attribute)
        if both := found.keys() & table.keys():
            raise ValueError(f"{target}: another table has a section of that name: {', '.join(sorted(both))}")
        found |= table
    return {name: found[name] for name in sorted(found, key=_place)}


def costs() -> dict[str, Any]:
    """Name -> :class:`medfed.audit.costs.Cost`, of the sections that state one: ``COSTS`` beside their table."""
    found: dict[str, Any] = {}
    for target in TABLES:
        found |= getattr(import_module(target.partition(":")[0]), "COSTS", {})
    return found


def _place(name: str) -> int:
    """Where ``name`` stands among those announced; others after them."""
    announced = list(ANNOUNCED)
    return announced.index(name) if name in ANNOUNCED else len(announced)

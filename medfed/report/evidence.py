"""What regulators and reporting guidelines ask, and which sections of an audit are evidence for it. Never compliance.

A section is evidence if it measured something that can be trusted, whatever came of it: a FAIL is evidence too.
Sources: Regulation (EU) 2024/1689 (AI Act), Article 15; FDA, Health Canada and MHRA 2021, "Good Machine Learning
Practice for Medical Device Development: Guiding Principles"; Lekadir et al. 2025, FUTURE-AI, BMJ 388:e081554; Collins
et al. 2024, TRIPOD+AI, BMJ 385:e078378. What an item asks is put in our words.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from medfed.audit.results import AuditReport, SectionResult
from medfed.audit.verdicts import Verdict


class Item(NamedTuple):
    """One thing asked: by whom, where, what, and the names of the sections that speak of it."""

    source: str
    item: str
    asks: str
    sections: tuple[str, ...]


class Row(NamedTuple):
    """An item with the places of the sections that are evidence for it (counted from 1), and the titles of the rest."""

    item: Item
    evidence: tuple[tuple[int, SectionResult], ...]
    absent: tuple[str, ...]


_SILENT = (Verdict.NOT_TESTED, Verdict.ERROR, Verdict.INVALID)
_ACT, _GMLP, _FUTURE, _TRIPOD = "EU AI Act", "GMLP", "FUTURE-AI", "TRIPOD+AI"

ITEMS = (
    Item(_ACT, "Art. 15(1)", "an appropriate level of accuracy, kept over the life cycle", ("performance",)),
    Item(_ACT, "Art. 15(3)", "accuracy and its metrics, to be declared to users", ("performance", "subgroups")),
    Item(
        _ACT,
        "Art. 15(4)",
        "resilience to errors, faults and inconsistencies",
        ("domain_shift", "silent_failure", "shortcuts"),
    ),
    Item(_ACT, "Art. 15(5)", "against data and model poisoning", ("poisoning",)),
    Item(_ACT, "Art. 15(5)", "against adversarial examples and model evasion", ("adversarial",)),
    Item(
        _ACT,
        "Art. 15(5)",
        "against attacks on confidentiality",
        ("privacy_statement", "gradient_inversion", "membership"),
    ),
    Item(_GMLP, "Principle 2", "good software engineering and security practice", ("identity", "adversarial")),
    Item(_GMLP, "Principle 3", "data that represent the intended patients", ("domain_shift", "subgroups")),
    Item(_GMLP, "Principle 4", "training data independent of test data", ("identity",)),
    Item(_GMLP, "Principle 8", "tests under clinically relevant conditions", ("performance", "domain_shift")),
    Item(_GMLP, "Principle 9", "clear, essential information for users", ("identity", "performance")),
    Item(
        _GMLP, "Principle 10", "deployed models watched, risks of retraining managed", ("silent_failure", "poisoning")
    ),
    Item(_FUTURE, "Fairness", "bias evaluated over groups of patients", ("subgroups",)),
    Item(_FUTURE, "Universality", "evaluated at several sites, and locally", ("performance", "domain_shift")),
    Item(_FUTURE, "Traceability", "model, data and versions documented", ("identity",)),
    Item(
        _FUTURE,
        "Robustness",
        "evaluated against variation of the data",
        ("domain_shift", "adversarial", "silent_failure", "shortcuts"),
    ),
    Item(_FUTURE, "Explainability", "explanations evaluated", ("explanations",)),
    Item(
        _FUTURE,
        "General: data protection",
        "privacy and security of the data",
        ("privacy_statement", "gradient_inversion", "membership"),
    ),
    Item(_TRIPOD, "Item 12e", "measures of performance, stated", ("performance",)),
    Item(_TRIPOD, "Item 14", "fairness addressed", ("subgroups",)),
    Item(_TRIPOD, "Item 22", "the model given so that others can evaluate it", ("identity",)),
    Item(_TRIPOD, "Item 23a", "performance with confidence intervals, key groups too", ("performance", "subgroups")),
    Item(_TRIPOD, "Item 23b", "differences between clusters, such as sites", ("performance", "domain_shift")),
)


def evidence_map(report: AuditReport, items: Iterable[Item] = ITEMS) -> list[Row]:
    """Every item with the sections of ``report`` that are evidence for it."""
    return [_row(report, item) for item in items]


def _row(report: AuditReport, item: Item) -> Row:
    measured = {
        section.name: (place, section)
        for place, section in enumerate(report.sections, start=1)
        if section.verdict not in _SILENT
    }
    found = tuple(measured[name] for name in item.sections if name in measured)
    return Row(item, found, tuple(_absent(report, [name for name in item.sections if name not in measured])))


def _absent(report: AuditReport, names: list[str]) -> Iterator[str]:
    titles = {part.name: part.title for part in report.missing}
    titles |= {section.name: section.title for section in report.sections}
    yield from (titles.get(name) or name for name in names)

"""Checks of a data set before anything is trained on it: each is a pure function from records to findings.

``error``: results would be wrong or training would fail. ``warning``: may be right, but one should know.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medfed.data.faults import REMEDIES
from medfed.data.labels import unknown_labels
from medfed.data.scan import Fault
from medfed.data.table import Record
from medfed.types import SPLITS

Records = Sequence[Record]

_SAME_NUMBERS = "if these are different people with the same number, make ids unique per site, such as north-1"


@dataclass(frozen=True)
class Finding:
    """Something that a check found.

    Attributes:
        level: ``error`` or ``warning``.
        what: the fault, in a few words.
        where: sites or splits that it concerns.
        count: how many images (patients, sites) it concerns.
        example: one case, with the row of the manifest.
        remedy: what to do.
        rows: the rows of that case.
    """

    level: Literal["error", "warning"]
    what: str
    where: str
    count: int
    example: str
    remedy: str
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        """One line."""
        return f"{self.what} ({self.where}): {self.count}, for example {self.example}; {self.remedy}"

    def without_names(self) -> str:
        """One line that may be kept and shown: rows in the place of patient ids and file names."""
        rows = f", for example rows {' and '.join(map(str, self.rows))}" if self.rows else ""
        return f"{self.what} ({self.where}): {self.count}{rows}; {self.remedy}"


def check_faults(records: Records, faults: Sequence[Fault]) -> list[Finding]:
    """Images and masks that cannot be used, by kind."""
    kinds: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        kinds[fault.fault.what].append(fault)
    return [
        Finding(
            "error",
            what,
            _sites(records[fault.index] for fault in found),
            len(found),
            f"{_name(records[found[0].index])}: {found[0].fault.detail}",
            REMEDIES[what],
        )
        for what, found in kinds.items()
    ]


def check_labels(records: Records, classes: Sequence[str] | None, required: bool) -> list[Finding]:
    """Labels that are missing or unknown.

    Args:
        records: the data set.
        classes: class names; None where they are not known.
        required: whether every image needs a label (else only a mixture of labelled and unlabelled is a fault).
    """
    findings = []
    missing = [record for record in records if record.label is None]
    if missing and (required or len(missing) < len(records)):
        remedy = 'fill the label column, or name it under [data.columns], for example label = "diagnosis"'
        findings.append(_finding("error", "label missing", missing, remedy))
    if classes is not None:
        unknown = unknown_labels([record.label for record in records], classes)
        bad = [record for record in records if record.label in unknown]
        if bad:
            remedy = f"expected one of: {', '.join(classes)} (or 0 to {len(classes) - 1} throughout)"
            what = f"label unknown: {', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}"
            findings.append(_finding("error", what, bad, remedy))
    return findings


def check_masks(records: Records, required: bool) -> list[Finding]:
    """Rows without a mask."""
    missing = [record for record in records if record.mask is None]
    if not missing or not (required or len(missing) < len(records)):
        return []
    return [_finding("error", "mask missing", missing, "fill the mask column, or name it under [data.columns]")]


def check_duplicates(records: Records, digests: Sequence[bytes | None]) -> list[Finding]:
    """Images with the same content: in two splits (error), at two sites or in one split (warnings)."""
    groups = _groups(records, digests)
    across = [members for members in groups if len({record.split for record in members}) > 1]
    sites = [members for members in groups if len({record.site for record in members}) > 1]
    within = [members for members in groups if len({(record.split, record.site) for record in members}) == 1]
    remedy = 'keep one copy, or set data.duplicates = "drop"'
    return [
        *_copies("error", "same image in two splits", across, remedy),
        *_copies("warning", "same image at two sites", sites, "keep one copy, unless both sites really hold it"),
        *_copies("warning", "same image twice in a split", within, "keep one copy"),
    ]


def check_patients(records: Records) -> list[Finding]:
    """Patients in two splits (error) or at two sites (warning)."""
    patients: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.patient is not None:
            patients[record.patient].append(record)
    across = [found for found in patients.values() if len({record.split for record in found}) > 1]
    sites = [found for found in patients.values() if len({record.site for record in found}) > 1]
    findings = []
    if across:
        remedy = "put all images of a patient in one split"
        if any(len({record.site for record in found}) > 1 for found in across):
            remedy += f"; {_SAME_NUMBERS}"
        findings.append(_of_patients("error", "patient in two splits", across, remedy, _split))
    if sites:
        remedy = (
            f"test on one of these sites leaks from training on the other; keep the patient at one; {_SAME_NUMBERS}"
        )
        findings.append(_of_patients("warning", "patient at two sites", sites, remedy, lambda record: record.site))
    return findings


def check_sites(records: Records, min_images: int) -> list[Finding]:
    """Sites without one of the splits (error), small ones, and ones with a single class (warnings)."""
    sites: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        sites[record.site].append(record)
    findings = []
    for site, found in sorted(sites.items()):
        empty = [split for split in SPLITS if all(record.split not in (split, None) for record in found)]
        if empty:
            counts = ", ".join(f"{split} {sum(record.split == split for record in found)}" for split in SPLITS)
            remedy = "give the site images of every split, or leave it out with data.sites"
            findings.append(Finding("error", f"no {' or '.join(empty)} images", site, len(found), counts, remedy))
        if len(found) < min_images:
            remedy = "collect more, leave it out with data.sites, or lower data.min_images_per_site"
            example = f"{len(found)} images, expected {min_images}"
            findings.append(Finding("warning", "small site", site, len(found), example, remedy))
        labels = {record.label for record in found}
        if len(labels) == 1 and None not in labels:
            remedy = "AUROC is undefined there; expect poor local models"
            findings.append(Finding("warning", "single-class site", site, len(found), f"only {labels.pop()}", remedy))
    return findings


def run_checks(
    records: Records,
    digests: Sequence[bytes | None],
    faults: Sequence[Fault],
    classes: Sequence[str] | None = None,
    min_images: int = 20,
) -> tuple[Finding, ...]:
    """All checks of a manifest, errors first."""
    findings = [
        *check_faults(records, faults),
        *check_labels(records, classes, required=classes is not None),
        *check_masks(records, required=False),
        *check_duplicates(records, digests),
        *check_patients(records),
        *check_sites(records, min_images),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.level != "error"))


def _groups(records: Records, digests: Sequence[bytes | None]) -> list[list[Record]]:
    groups: Mapping[bytes, list[Record]] = defaultdict(list)
    for record, digest in zip(records, digests, strict=True):
        if digest is not None:
            groups[digest].append(record)
    return [members for members in groups.values() if len(members) > 1]


def _copies(level: Literal["error", "warning"], what: str, groups: list[list[Record]], remedy: str) -> list[Finding]:
    if not groups:
        return []
    pairs = Counter(" & ".join(sorted({f"{record.site}/{_split(record)}" for record in group})) for group in groups)
    where = _short([f"{name} {num}" if num > 1 else name for name, num in pairs.most_common()])
    pair = groups[0][:2]
    example, rows = " = ".join(_name(record) for record in pair), tuple(record.row for record in pair)
    return [Finding(level, what, where, len(groups), example, remedy, rows)]


def _of_patients(
    level: Literal["error", "warning"],
    what: str,
    patients: list[list[Record]],
    remedy: str,
    place: Callable[[Record], str],
) -> Finding:
    first = patients[0]
    places = {place(record): record.row for record in reversed(first)}  # the first row of each
    example = f"{first[0].patient}: {', '.join(f'{name} (row {places[name]})' for name in sorted(places))}"
    where = _sites(record for found in patients for record in found)
    return Finding(level, what, where, len(patients), example, remedy, tuple(sorted(places.values())))


def _finding(level: Literal["error", "warning"], what: str, found: Records, remedy: str) -> Finding:
    return Finding(level, what, _sites(found), len(found), _name(found[0]), remedy, (found[0].row,))


def _split(record: Record) -> str:
    return record.split or "no split"


def _name(record: Record) -> str:
    return f"row {record.row} ({record.image})"


def _sites(records: Iterable[Record]) -> str:
    return _short(sorted({record.site for record in records}))


def _short(names: list[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (f", {len(names) - shown} more" if len(names) > shown else "")

"""The grid of test images: per site the best, median and worst case, with truth and prediction."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from medfed.report.pixels import outlines, png_address, to_grey_or_rgb
from medfed.report.text import DASH, labels, number, percent, short

MAX_SITES = 24
BUDGET = 6_000_000  # characters of page for images and outlines; leaves room for tables below 10 MB
RANKS = ("best", "median", "worst")


class Example(BaseModel):
    """One entry of ``figures/examples.json``; ``probability`` is what the model gives the true class.

    ``score`` is in segmentation the mean Dice of the foreground classes.
    """

    model_config = ConfigDict(frozen=True)

    site: str
    rank: Literal["best", "median", "worst"]
    name: str
    score: float | None
    truth: str | None = None
    prediction: str | None = None
    probability: float | None = None
    index: int


@dataclass(frozen=True)
class Picture:
    """One image as the page shows it, without its file's name; ``case`` counts the entries from 1.

    ``truth_path`` and ``prediction_path`` are None in classification.
    """

    rank: str
    case: int
    caption: str
    verdict: str
    alt: str
    address: str
    width: int
    height: int
    truth_path: str | None
    prediction_path: str | None

    @property
    def num_characters(self) -> int:
        """Roughly what it adds to the page."""
        return len(self.address) + len(self.truth_path or "") + len(self.prediction_path or "") + 800


@dataclass(frozen=True)
class Examples:
    """Pictures by site; ``num_left_out`` sites did not fit in the page."""

    by_site: dict[str, list[Picture]]
    num_left_out: int
    outlined: bool


def load_examples(folder: Path, order: Sequence[str], notes: list[str]) -> Examples:
    """Read ``figures/examples.*``; sites in ``order``; what cannot be shown is left out with a note."""
    nothing = Examples({}, 0, False)
    listing, archive = folder / "figures" / "examples.json", folder / "figures" / "examples.npz"
    if not listing.is_file() or not archive.is_file():
        return nothing
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
        with np.load(archive, allow_pickle=False) as arrays:
            return _grid(_valid(entries, notes), arrays, order, notes)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = error.strerror or "" if isinstance(error, OSError) else str(error)  # an OSError's text holds the path
        notes.append(f"figures/examples could not be read: {short(reason, 120)}")
        return nothing


def _valid(entries: Any, notes: list[str]) -> list[Example]:
    found, adapter = [], TypeAdapter(Example)
    for entry in entries if isinstance(entries, list) else []:
        try:
            found.append(adapter.validate_python(entry))
        except ValidationError:
            notes.append("figures/examples.json has an entry that cannot be read (left out).")
    return found


def _grid(examples: list[Example], arrays: Mapping[str, Any], order: Sequence[str], notes: list[str]) -> Examples:
    rank = {site: position for position, site in enumerate(order)}
    sites = sorted({e.site for e in examples}, key=lambda site: (rank.get(site, len(rank)), site))
    label = labels([*order, *(s for s in sites if s not in rank)])
    by_site: dict[str, list[Picture]] = {}
    spent = left_out = 0
    for site in sites:
        if spent > BUDGET or len(by_site) >= MAX_SITES:
            left_out += 1
            continue
        chosen = sorted((e for e in examples if e.site == site), key=lambda e: RANKS.index(e.rank))
        found = [picture for e in chosen if (picture := _picture(e, arrays, label[site], notes)) is not None]
        spent += sum(picture.num_characters for picture in found)
        if found:
            by_site[site] = found
    outlined = any(p.truth_path is not None or p.prediction_path is not None for ps in by_site.values() for p in ps)
    return Examples(by_site, left_out, outlined)


def _picture(example: Example, arrays: Mapping[str, Any], site: str, notes: list[str]) -> Picture | None:
    try:
        image = np.asarray(arrays[f"image_{example.index}"])
        pixels = to_grey_or_rgb(image)
        truth, prediction = (_outline(arrays, f"{part}_{example.index}") for part in ("truth", "prediction"))
    except (KeyError, ValueError) as error:
        notes.append(f"Test image {example.index} could not be shown: {short(str(error), 120)}")
        return None
    caption, verdict = _words(example)
    case = example.index + 1
    alt = f"Case {case}, {example.rank} of {site}: {caption}"
    height, width = pixels.shape[:2]
    return Picture(example.rank, case, caption, verdict, alt, png_address(pixels), width, height, truth, prediction)


def _outline(arrays: Mapping[str, Any], key: str) -> str | None:
    if key not in arrays:
        return None
    found: NDArray[Any] = np.asarray(arrays[key])
    return outlines(found)


def _words(example: Example) -> tuple[str, str]:
    """The caption and, in classification, whether the model was right."""
    if example.truth is None and example.prediction is None:
        return f"Dice {number(example.score)}", ""
    chance = "" if example.probability is None else f"; probability of the truth {percent(example.probability)}"
    right = "correct" if example.truth == example.prediction else "wrong"
    return f"truth {short(example.truth or DASH)}, predicted {short(example.prediction or DASH)}{chance}", right

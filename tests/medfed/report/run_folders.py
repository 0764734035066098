"""Builders of run folders, with real nuclei images where they are to be had."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medfed.results import RoundResult, Summary, write_json
from tests.medfed.report.figures import NUCLEI_SITES

NUCLEI = Path(__file__).parents[4] / "shared" / "data" / "nuclei_dsb2018"
SCENARIO = """\
name = "nuclei-unet"
seed = 1

[task]
kind = "segmentation"
classes = ["background", "nucleus"]

[data]
path = "package:medfed/data/samples/nuclei_dsb2018/manifest.csv"
image_size = 96

[training]
rounds = 12
local_epochs = 2
batch_size = 8

[evaluation]
resamples = 1000
"""
ENVIRONMENT = {
    "started": "2026-01-05T10:00:00+00:00",
    "command": "medfed simulate simulations/scenarios/nuclei-unet.toml",
    "deterministic": True,
    "python": "3.11.9",
    "platform": "Linux-6.1-x86_64-with-glibc2.36",
    "cpu_count": 2,
    "versions": {"medfed": "0.1.0", "torch": "2.13.0", "flwr": "1.41.0"},
    "git": {"commit": "3f2a9c1d", "dirty": False},
}


def write_run(
    folder: Path,
    summary: Summary,
    rounds: Sequence[RoundResult] | None = None,
    scenario: str | None = SCENARIO,
    environment: dict[str, Any] | None = ENVIRONMENT,
) -> Path:
    """A run folder; parts given as None are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "summary.json", summary)
    if rounds is not None:
        (folder / "rounds.jsonl").write_text("".join(r.model_dump_json() + "\n" for r in rounds), encoding="utf-8")
    if scenario is not None:
        (folder / "scenario.toml").write_text(scenario, encoding="utf-8")
    if environment is not None:
        (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    return folder


def write_examples(folder: Path, entries: list[dict[str, Any]], arrays: dict[str, Any]) -> None:
    """``figures/examples.json`` and ``figures/examples.npz``."""
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "examples.json").write_text(json.dumps(entries), encoding="utf-8")
    np.savez_compressed(folder / "figures" / "examples.npz", **arrays)


def write_synthetic_examples(folder: Path, sites: Sequence[str], side: int = 48, segmentation: bool = True) -> None:
    """Three images per site: a disc, its mask and a shifted prediction; or truth and predicted class."""
    y, x = np.mgrid[:side, :side]
    entries, arrays = [], {}
    for site in sites:
        for shift, rank in enumerate(("best", "median", "worst")):
            index = len(entries)
            truth = ((x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 4) ** 2).astype(np.uint8)
            arrays[f"image_{index}"] = (40 + 150 * truth)[None].astype(np.uint8)
            entry = {
                "site": site,
                "rank": rank,
                "name": f"{site}-{rank}.png",
                "score": 0.9 - 0.2 * shift,
                "index": index,
            }
            if segmentation:
                arrays |= {f"truth_{index}": truth, f"prediction_{index}": np.roll(truth, 2 * shift, axis=1)}
                entry |= {"truth": None, "prediction": None, "probability": None}
            else:
                found = "pneumonia" if shift < 2 else "normal"
                entry |= {"truth": "pneumonia", "prediction": found, "probability": 0.97 - 0.4 * shift}
            entries.append(entry)
    write_examples(folder, entries, arrays)


def write_nuclei_examples(folder: Path, sites: Sequence[str] = NUCLEI_SITES, side: int = 96) -> None:
    """Real nuclei; the prediction is a threshold on brightness, good on fluorescence, poor on stains."""
    with (NUCLEI / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    entries, arrays = [], {}
    for site in sites:
        scored = sorted((_threshold(row, side) for row in rows if row["site"] == site), key=lambda item: -item[0])[:12]
        for rank, (score, name, image, truth, found) in zip(
            ("best", "median", "worst"), (scored[0], scored[len(scored) // 2], scored[-1]), strict=True
        ):
            index = len(entries)
            arrays |= {f"image_{index}": image, f"truth_{index}": truth, f"prediction_{index}": found}
            entries.append({"site": site, "rank": rank, "name": name, "score": score, "index": index})
    write_examples(folder, entries, arrays)


def _threshold(row: dict[str, str], side: int) -> tuple[float, str, Any, Any, Any]:
    image = Image.open(NUCLEI / row["image"]).convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    truth = np.asarray(Image.open(NUCLEI / row["mask"]).resize((side, side), Image.Resampling.NEAREST)) > 0
    pixels = np.asarray(image)
    grey = pixels.mean(axis=2)
    low, high = np.percentile(grey, (1, 99))
    found = grey > (low + high) / 2 if np.median(grey) < 128 else grey < (low + high) / 2
    score = 2 * (truth & found).sum() / max(truth.sum() + found.sum(), 1)
    return float(score), row["image"], np.moveaxis(pixels, -1, 0), truth.astype(np.uint8), found.astype(np.uint8)

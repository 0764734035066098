"""Builders of run folders: realistic figures, real nuclei images where they are to be had."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medfed.results import (
    Estimate,
    Failure,
    MeanSummary,
    Metrics,
    RoundResult,
    SiteRound,
    SiteSummary,
    Status,
    Summary,
    write_json,
)

NUCLEI = Path(__file__).parents[4] / "shared" / "data" / "nuclei_dsb2018"
NUCLEI_SITES = ("fluo_256", "fluo_360", "fluo_520x696", "histo_purple_bg", "histo_white_bg")
KINDS = ("federated", "local", "pooled")
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


def estimate(value: float | None, half: float = 0.03, n: int = 20) -> Estimate:
    """An estimate with an interval of ``value`` +- ``half``."""
    if value is None:
        return Estimate(value=None, low=None, high=None, n=n)
    return Estimate(value=value, low=value - half, high=value + half, n=n, se=half / 1.96)


def mean(estimates: Sequence[Estimate | None]) -> Estimate:
    """Mean over sites, with the root sum of squares of the standard errors."""
    known = [e for e in estimates if e is not None and e.value is not None]
    if not known:
        return estimate(None)
    se = math.hypot(*(e.se or 0.0 for e in known)) / len(known)
    return estimate(math.fsum(e.value or 0.0 for e in known) / len(known), 1.96 * se, sum(e.n for e in known))


def build_summary(
    sites: Sequence[str] = NUCLEI_SITES,
    task: str = "segmentation",
    status: str = "COMPLETED",
    classes: Sequence[str] = ("background", "nucleus"),
    **changes: Any,
) -> Summary:
    """A summary with federated .86, local .89 at home and .5 elsewhere, pooled .91 (a trial on the nuclei groups)."""
    rng = np.random.default_rng(1)
    headline = "dice" if task == "segmentation" else "auroc"
    names = ("dice", "iou", "ece", "loss") if task == "segmentation" else ("auroc", "balanced_accuracy", "ece", "loss")
    jitter = {site: float(rng.uniform(-0.05, 0.05)) for site in sites}

    def metrics(level: float, site: str) -> Metrics:
        value = min(level + jitter[site], 0.995)
        levels = dict(zip(names, (value, value - 0.1, 0.04, 0.3 - 0.2 * value), strict=True))
        return {name: estimate(v, 0.03 if name == headline else 0.01) for name, v in levels.items()}

    cross = {i: {j: metrics(0.89 if i == j else float(rng.uniform(0.2, 0.75)), j) for j in sites} for i in sites}
    lines = {
        site: SiteSummary(
            num_train=int(rng.integers(20, 90)),
            num_val=int(rng.integers(6, 20)),
            num_test=20,
            class_counts={c: int(rng.integers(5, 60)) for c in classes},
            federated=metrics(0.86, site),
            local=cross[site][site],
            pooled=metrics(0.91, site),
            per_class={c: metrics(0.86 + 0.03 * k, site) for k, c in enumerate(classes[1:])},
        )
        for site in sites
    }
    means = {k: {m: mean([getattr(s, k)[m] for s in lines.values()]) for m in names} for k in KINDS} if sites else {}
    fields: dict[str, Any] = {
        "name": "nuclei-unet",
        "status": Status(status),
        "task": task,
        "headline_metric": headline,
        "rounds": 12,
        "seconds": 318.4,
        "bytes_up": 64_800_000,
        "bytes_down": 71_000_000,
        "sites": lines,
        "cross_site": cross,
        "mean": MeanSummary(**means),
        "gap_closed": {headline: 0.874},
        "best_local_site": {headline: next(iter(sites), "")} if sites else {},
        "warnings": ["site fluo_520x696: 14 test images, intervals are wide"],
    }
    return Summary(**(fields | changes))


def build_rounds(sites: Sequence[str] = NUCLEI_SITES, rounds: int = 12, metric: str = "dice") -> list[RoundResult]:
    """Losses that fall and scores that rise, each site at its own pace."""
    rng = np.random.default_rng(2)
    pace = {site: float(rng.uniform(0.12, 0.4)) for site in sites}
    return [
        RoundResult(
            round=r,
            seconds=9.0,
            bytes_up=5_400_000,
            bytes_down=5_900_000,
            sites={
                site: SiteRound(
                    num_examples=50,
                    num_steps=14,
                    loss=0.15 + 0.8 * math.exp(-pace[site] * r) + float(rng.normal(0, 0.01)),
                    seconds=1.6,
                    val={metric: 0.9 - 0.6 * math.exp(-pace[site] * r) + float(rng.normal(0, 0.01))},
                )
                for site in sites
            },
        )
        for r in range(1, rounds + 1)
    ]


def fail(
    rounds: list[RoundResult], site: str, at: Sequence[int], cause: str = "ran out of memory"
) -> list[RoundResult]:
    """The rounds with ``site`` missing in some."""
    failure = Failure(site=site, code="SITE_ERROR", cause=cause, remedy="lower training.batch_size at this site")
    return [
        r.model_copy(update={"sites": {k: v for k, v in r.sites.items() if k != site}, "failed": [*r.failed, failure]})
        if r.round in at
        else r
        for r in rounds
    ]


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


class Builders:
    """The builders above as one fixture, since tests import no module of their own."""

    sites = NUCLEI_SITES
    nuclei = NUCLEI
    estimate = staticmethod(estimate)
    summary = staticmethod(build_summary)
    rounds = staticmethod(build_rounds)
    fail = staticmethod(fail)
    run = staticmethod(write_run)
    examples = staticmethod(write_examples)
    synthetic_examples = staticmethod(write_synthetic_examples)
    nuclei_examples = staticmethod(write_nuclei_examples)


@pytest.fixture
def build() -> type[Builders]:
    """Builders of summaries, rounds and run folders."""
    return Builders


@pytest.fixture
def finished(tmp_path: Path, build: type[Builders]) -> Path:
    """A completed run of five sites with synthetic examples."""
    folder = build.run(tmp_path / "run", build.summary(), build.rounds())
    build.synthetic_examples(folder, build.sites)
    return folder

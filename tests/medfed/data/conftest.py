"""Small data sets on disk, and a cache of one's own for every test."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Rows = list[dict[str, str]]
Builder = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of decoded images of this test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MEDFED_CACHE", str(folder))
    return folder


def write_csv(path: Path, rows: Rows) -> Path:
    """Write a manifest."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def build(tmp_path: Path) -> Builder:
    """``build(sites, per_split)``: a clean set with images, masks, labels a and b, splits and patients."""

    def make(sites: tuple[str, ...] = ("one", "two"), per_split: int = 8, change: Callable[[Rows], Rows] | None = None):
        generator = np.random.default_rng(0)
        rows: Rows = []
        for site in sites:
            for split in ("train", "val", "test"):
                for number in range(per_split):
                    name = f"{site}-{split}-{number}"
                    Image.fromarray(generator.integers(0, 256, (12, 10), dtype=np.uint8)).save(tmp_path / f"{name}.png")
                    mask = (generator.random((12, 10)) < 0.5).astype(np.uint8)
                    Image.fromarray(mask).save(tmp_path / f"{name}-mask.png")
                    rows.append(
                        {
                            "image": f"{name}.png",
                            "mask": f"{name}-mask.png",
                            "label": "ab"[number % 2],
                            "site": site,
                            "split": split,
                            "patient": f"p-{name}",
                            "sex": "fm"[number % 2],
                        }
                    )
        return write_csv(tmp_path / "labels.csv", change(rows) if change else rows)

    return make

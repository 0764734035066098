"""Makes the bundled samples again: ``python -m medfed.data.samples.make_samples SOURCE_FOLDER``.

SOURCE_FOLDER holds ``nuclei_dsb2018/`` (labels.csv, images/, masks/) and ``pneumoniamnist_28/``. The result is
written beside this file and is the same, byte for byte, for the same versions of Pillow and numpy. What is
chosen and why stands in README.md of this folder and of each set.
"""

import csv
import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SEED = "medfed-nuclei-1"
MAX_SIDE = 400
NUCLEI_GROUPS: dict[str, tuple[int, int, int]] = {
    # group: (test, val, train) at most; chosen so that both sets together stay below 15 MB
    "fluo_256": (12, 7, 41),
    "fluo_360": (10, 5, 23),
    "fluo_520x696": (10, 5, 25),
    "histo_purple_bg": (10, 5, 17),
    "histo_white_bg": (10, 4, 12),
}
COLUMNS = ("image", "mask", "site", "split", "width", "height", "n_nuclei", "fg_fraction", "kaggle_id")

Row = dict[str, str]


def make_nuclei(source: Path, target: Path) -> None:
    """Choose, re-split and shrink the nuclei images."""
    with (source / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for folder in ("images", "masks"):
        (target / folder).mkdir(parents=True, exist_ok=True)
        for old in (target / folder).glob("*.png"):
            old.unlink()
    written = [write_pair(row, source, target) for row in choose_nuclei(rows)]
    with (target / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(written)


def choose_nuclei(rows: list[Row]) -> list[Row]:
    """The rows to keep, with a new split: inside a group, the lowest hashes are test, then val, then train."""
    chosen: list[Row] = []
    for group, (num_test, num_val, num_train) in NUCLEI_GROUPS.items():
        members = sorted((row for row in rows if row["site"] == group), key=lambda row: _hash(row["kaggle_id"]))
        splits = ["test"] * num_test + ["val"] * num_val + ["train"] * num_train
        chosen += [{**row, "split": split} for row, split in zip(members, splits, strict=False)]
    return sorted(chosen, key=lambda row: (row["site"], row["image"]))


def _hash(kaggle_id: str) -> str:
    return hashlib.sha256(f"{SEED}:{kaggle_id}".encode()).hexdigest()


def write_pair(row: Row, source: Path, target: Path) -> Row:
    """Write an image and its label map, halved where they are large; return the row with its new sizes."""
    image: Image.Image = Image.open(source / row["image"])
    mask = np.asarray(Image.open(source / row["mask"])).astype(np.uint16)
    if max(image.size) > MAX_SIDE:
        size = (image.width // 2, image.height // 2)
        image = image.resize(size, Image.Resampling.LANCZOS)
        mask = mask[: 2 * size[1] : 2, : 2 * size[0] : 2]
    image.save(target / row["image"], optimize=True)
    Image.fromarray(mask).save(target / row["mask"], optimize=True)
    return {
        **row,
        "width": str(image.width),
        "height": str(image.height),
        "n_nuclei": str(len(np.unique(mask[mask > 0]))),
        "fg_fraction": f"{(mask > 0).mean():.4f}",
    }


def make_pneumonia(source: Path, target: Path) -> None:
    """Remove repeated training images, and training and validation images that a later split holds too."""
    with np.load(source / "pneumoniamnist.npz") as file:
        arrays = {key: file[key] for key in file.files}
    target.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target / "pneumoniamnist.npz", allow_pickle=False, **without_copies(arrays))


def without_copies(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """MedMNIST arrays without leaks; the test split is left as it is, repeats inside it included."""
    seen = {image.tobytes() for image in arrays["test_images"]}
    kept: dict[str, NDArray[Any]] = {}
    for split in ("val", "train"):
        rows = []
        for row, image in enumerate(arrays[f"{split}_images"]):
            if image.tobytes() not in seen:
                seen.add(image.tobytes())
                rows.append(row)
        kept |= {f"{split}_{part}": arrays[f"{split}_{part}"][rows] for part in ("images", "labels")}
    kept |= {key: arrays[key] for key in ("test_images", "test_labels")}
    return {key: kept[key] for key in sorted(kept)}


def main() -> None:
    """Make both sets beside this file."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m medfed.data.samples.make_samples SOURCE_FOLDER")
    source, target = Path(sys.argv[1]), Path(__file__).parent
    make_nuclei(source / "nuclei_dsb2018", target / "nuclei")
    make_pneumonia(source / "pneumoniamnist_28", target / "pneumoniamnist")


if __name__ == "__main__":
    main()

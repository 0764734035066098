"""Images on which a model goes wrong in one known way, and the sections of an audit that must say so.

Every image is noise with a disc in the middle. The class is the brightness of the disc, unless it is planted elsewhere.
The images are synthetic, so that nothing but the planted fault is wrong with them.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

SITES = ("east", "north", "south", "west")
CLASSES = ("dark", "bright")
SIDE = 16
_MARK = 3
"""Side of a planted mark in the corner, in pixels."""


@dataclass(frozen=True)
class Planted:
    """One way of being bad.

    Attributes:
        name: of the case.
        must: sections that must FAIL.
        may: sections that may FAIL as well, because the same fault shows there too.
        words: found in the findings that FAIL.
        contrast: of the disc between the classes, in grey levels of 255.
        spread: standard deviation of the disc's level from image to image, in grey levels.
        pattern: height of a chequered pattern of single pixels whose sign is the class, in grey levels.
        marked: a square in the first corner, white in bright images and black in dark ones, in all splits.
        wrong: share of the training labels that are wrong, at every site.
        shuffled: site whose labels are drawn by chance, in all splits.
        train: training images of a site.
        epochs: of the training, altogether.
    """

    name: str
    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    contrast: float = 90.0
    spread: float = 15.0
    pattern: float = 0.0
    marked: bool = False
    wrong: float = 0.0
    shuffled: str = ""
    train: int = 40
    epochs: int = 8


CASES = (
    Planted("honest"),
    Planted(
        "overfitted",
        must=("performance",),
        may=("adversarial",),  # wrong labels learned by heart roughen a model: Sanyal et al., ICLR 2021
        words=("images of the training minus",),
        wrong=0.4,
        spread=40.0,
        train=24,
        epochs=80,
    ),
    Planted("shortcut", must=("shortcuts",), words=("corners",), contrast=20.0, spread=40.0, marked=True, epochs=16),
    Planted(
        "fragile",
        must=("adversarial",),
        words=("under attack",),
        contrast=0.0,
        spread=5.0,
        pattern=7.0,
        train=160,
        epochs=24,
    ),
    Planted(
        "shuffled",
        must=("performance",),
        may=("poisoning",),  # the updates of the site differ from those of the others
        words=("AUROC, south", "training labels the model contradicts"),
        shuffled="south",
        contrast=180.0,
    ),
)

_SCENARIO = """
name = "{name}"
seed = 1
task = {{ kind = "classification", classes = ["dark", "bright"] }}
data = {{ path = "images/manifest.csv", image_size = {side} }}
model = {{ name = "small_cnn", width = 8 }}
training = {{ rounds = {rounds}, local_epochs = {epochs}, batch_size = 16, loss = "cross_entropy" }}
evaluation = {{ resamples = 200, every = {rounds} }}
baselines = {{ local = false, pooled = false }}
record = {{ rounds = [1, -1] }}
"""

NUM_OTHERS = {"val": 20, "test": 50}
"""Images of a site."""


def scenario_text(case: Planted) -> str:
    """A federation over the images of :func:`write_images`, beside the folder that they lie in."""
    rounds = min(case.epochs, 8)
    return _SCENARIO.format(name=case.name, side=SIDE, rounds=rounds, epochs=case.epochs // rounds)


def image(case: Planted, label: int, numbers: np.random.Generator) -> UInt8[ndarray, "height width"]:
    """One image of a class."""
    y, x = np.mgrid[:SIDE, :SIDE]
    disc = (y - (SIDE - 1) / 2) ** 2 + (x - (SIDE - 1) / 2) ** 2 <= (SIDE / 3) ** 2
    sign = 2 * label - 1
    level = 128.0 + sign * case.contrast / 2 + case.spread * numbers.standard_normal()
    pixels = np.where(disc, level, 128.0) + 12.0 * numbers.standard_normal((SIDE, SIDE))
    pixels += sign * case.pattern * np.where((x + y) % 2, 1.0, -1.0)
    if case.marked:
        pixels[:_MARK, :_MARK] = 255.0 * label
    found: UInt8[ndarray, "height width"] = pixels.clip(0, 255).round().astype(np.uint8)
    return found


def write_images(case: Planted, folder: Path, seed: int = 0) -> Path:
    """PNG files and a manifest; every image is of a patient of its own.

    Returns:
        The manifest.
    """
    folder.mkdir(parents=True)
    numbers, rows = np.random.default_rng(seed), []
    for site in SITES:
        for split, count in ({"train": case.train} | NUM_OTHERS).items():
            for index in range(count):
                label = shown = index % 2
                if site == case.shuffled:
                    shown = int(numbers.integers(2))
                elif split == "train" and numbers.random() < case.wrong:
                    shown = 1 - label
                name = f"{site}-{split}-{index}.png"
                Image.fromarray(image(case, label, numbers)).save(folder / name)
                rows.append((name, CLASSES[shown], site, split, name))
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "label", "site", "split", "patient"), *rows])
    return manifest

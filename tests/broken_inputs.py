"""The table of ``test_broken_inputs.py``: damage done to a good scenario, and what the user must be told.

The words of each line: file, key or row, what was expected or got, the remedy.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

Rows = list[dict[str, str]]

GONE = object()
"""As a change: take the key out."""

SCENARIO: dict[str, Any] = {
    "name": "broken",
    "task": {"kind": "classification", "classes": ["a", "b"]},
    "data": {"path": "data/labels.csv", "image_size": 16, "min_images_per_site": 2},
    "model": {"name": "small_cnn", "width": 2},
    "training": {"rounds": 1, "local_steps": 1, "batch_size": 2, "loss": "cross_entropy"},
    "baselines": {"local": False, "pooled": False},
    "evaluation": {"resamples": 100},
}
MASKS = {"task.kind": "segmentation", "model": "unet", "training.loss": "dice_ce"}
ROW = "labels.csv, row 2 (one-train-0.png): "


@dataclass(frozen=True)
class Broken:
    """One broken input.

    Attributes:
        name: what is broken.
        says: for each line on standard error the words that it must hold.
        changes: dotted keys of the scenario.
        rows: damage to the rows of the manifest.
        files: damage to the folder, which holds ``scenario.toml`` and ``data/``.
        arguments: after ``medfed simulate scenario.toml``.
    """

    name: str
    says: tuple[tuple[str, ...], ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    rows: Callable[[Rows], Rows] = list
    files: Callable[[Path], object] = lambda folder: None
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def one(name: str, *words: str, **damage: Any) -> Broken:
    """A broken input that is told in one line."""
    return Broken(name, (words,), **damage)


def cell(column: str, value: str) -> Callable[[Rows], Rows]:
    return lambda rows: [{**rows[0], column: value}, *rows[1:]]


def without(column: str) -> Callable[[Rows], Rows]:
    return lambda rows: [{name: value for name, value in row.items() if name != column} for row in rows]


def text(content: str | bytes, name: str = "scenario.toml") -> Callable[[Path], object]:
    raw = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(raw)


def picture(name: str, pixels: np.ndarray) -> Callable[[Path], object]:
    write = tifffile.imwrite if name.endswith(".tif") else lambda path, array: Image.fromarray(array).save(path)
    return lambda folder: write(folder / "data" / name, pixels)


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "data" / name).write_bytes((folder / "data" / name).read_bytes()[:60])


def copy(source: str, target: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copy(folder / "data" / source, folder / "data" / target)


def key(name: str) -> str:
    return f'scenario.toml: key "{name}": '


SCENARIOS = [
    one("unknown key", key("training.lr"), "unknown key", "allowed here: rounds,", changes={"training.lr": 0.1}),
    one("key misspelt", 'did you mean "training.batch_size"?', changes={"training.batchsize": 2}),
    Broken(
        "table misspelt",
        ((key("training"), "is missing"), (key("trainig"), 'did you mean "training"?')),
        {"training": GONE, "trainig": SCENARIO["training"]},
    ),
    Broken("two faults", ((key("seed"),), (key("data.channels"),)), {"seed": -1, "data.channels": 2}),
    one("text for a number", key("training.rounds"), "without quotes", "got '3'", changes={"training.rounds": "3"}),
    one("real for whole", "must be a whole number", "got 3.0", changes={"training.rounds": 3.0}),
    one("value for a table", key("training"), "must be a table", "got 3", changes={"training": 3}),
    one("wrong entry", key("task.classes.1"), "text in quotes", "got 1", changes={"task.classes": ["a", 1]}),
    one("out of range", key("training.rounds"), "equal to 1; got 0", changes={"training.rounds": 0}),
    one("no choice", key("training.schedule"), "'constant' or 'cosine'", changes={"training.schedule": "linear"}),
    one("key missing", key("training.batch_size"), "is missing; add it", changes={"training.batch_size": GONE}),
    one("name unfit for a folder", key("name"), "letters", 'got "../x"', changes={"name": "../x"}),
    one("unknown model", key("model"), 'did you mean "small_cnn"?', "resnet18", changes={"model": "small_cnm"}),
    one("model is a number", key("model"), "needs a name, one of: resnet18", "got 3", changes={"model": 3}),
    one("model is no plug-in", key("model"), '"os.path:join" is no plug-in', changes={"model": "os.path:join"}),
    one("model cannot be imported", key("model"), "package.module:attr", changes={"model": "no_such_module:A"}),
    one(
        "unknown field of a loss",
        key("training.loss.class_weight"),
        'did you mean "training.loss.class_weights"?',
        changes={"training.loss": {"name": "cross_entropy", "class_weight": "balanced"}},
    ),
    one("loss for another head", key("training.loss"), "suitable: cross_entropy", changes={"training.loss": "bce"}),
    one("model for another task", key("model"), "suitable: resnet18, small_cnn", changes={"model": "unet"}),
    one("headline", key("evaluation.headline"), "allowed: auroc", changes={"evaluation.headline": "dice"}),
    one("recorded round", key("record.rounds"), "-1 to -1", "got [-3]", changes={"record": {"rounds": [1, -3]}}),
    one("both measures", "local_epochs and local_steps; got both", changes={"training.local_epochs": 1}),
    one("neither measure", "local_epochs and local_steps; got neither", changes={"training.local_steps": GONE}),
    one("image too small", key("data.image_size"), "equal to 8; got 4", changes={"data.image_size": 4}),
    one(
        "image too small for the model",
        "resnet18", "above 8 px", "data.image_size is 8", 'use norm = "group"',
        changes={"data.image_size": 8, "model": {"name": "resnet18", "width": 2, "norm": "instance"}},
    ),
    one("not TOML", "scenario.toml: not valid TOML", "line 2, column 6", files=text('name = "x"\n[task\nkind = 1')),
    one("garbage", "scenario.toml: is not text in UTF-8", "a TOML file", files=text(bytes(range(256)))),
    one("no scenario", "scenario.toml: no such file, and no bundled", files=lambda f: (f / "scenario.toml").unlink()),
]  # fmt: skip

OPTIONS = [
    one("--set without value", '--set "seed"', "expected KEY=VALUE", arguments=("--set", "seed")),
    one("--set of a wrong type", "with --set", "got 'abc'", arguments=("--set", "training.rounds=abc")),
    one("--set in a value", '"training.rounds.x"', "no key can be set", arguments=("--set", "training.rounds.x=2")),
    one("unknown option", "--sett", "--set", "medfed simulate --help", arguments=("--sett", "a=1")),
    one("unknown site left out", 'leave_out": no site "o\'ne"', "one, two", arguments=("--leave-out", "o'ne")),
    one(
        "all sites left out",
        '"federation.leave_out"', "no site to train at", "take out one of: one, two",
        arguments=("--leave-out", "one", "--leave-out", "two"),
    ),
    one("--out is a file", "data/labels.csv/broken: cannot be made", "--out", arguments=("--out", "data/labels.csv")),
    one("--out below a file", "Not a directory; choose another", arguments=("--out", "data/labels.csv/below")),
]  # fmt: skip

TABLES = [
    one("no manifest", "data/lables.csv: no such file", "scenario's folder", changes={"data.path": "data/lables.csv"}),
    one("no path", 'key "data.path": is missing', ".csv", changes={"data.path": GONE}),
    one("a folder", "data: is a folder; expected a manifest", changes={"data.path": "data"}),
    one("another kind of file", 'kind of data file ".toml"', ".csv, .npz", changes={"data.path": "scenario.toml"}),
    one("not an .npz", "x.npz: cannot", "download", changes={"data.path": "x.npz"}, files=text(b"garbage", "x.npz")),
    one("empty manifest", "labels.csv: the manifest is empty; expected", '"image"', files=text("", "data/labels.csv")),
    one("header only", "labels.csv: ", "no rows; expected one row", files=text("image,label\n", "data/labels.csv")),
    one("semicolons", "is the separator a comma?", files=text("image;label\nx;a\n", "data/labels.csv")),
    one("no image column", 'no column "image"; the file has: mask, label', "[data.columns]", rows=without("image")),
    one("no label column", 'no column "label"', "[data.columns]: label =", rows=without("label")),
    one("no mask column", 'no column "mask"', "[data.columns]: mask =", rows=without("mask"), changes=MASKS),
    one("column misnamed", 'patient = "patient"', changes={"data.columns": {"patient": "pateint"}}),
    one("unknown label", "label unknown: c (one): 1", "row 2", "expected one of: a, b", rows=cell("label", "c")),
    one("label missing", "label missing (one): 1", "row 2", "fill the label column", rows=cell("label", "")),
    one("unknown split", 'row 2: split "training"; expected one of: train, val', rows=cell("split", "training")),
    one("site unfit for a file", 'row 2: site "a/b"', "no slash", rows=cell("site", "a/b")),
    one(
        "patient in two splits",
        "labels.csv: patient in two splits (one): 1", "p-one-test-0: test (row 10), train (row 2)", "in one split",
        rows=cell("patient", "p-one-test-0"),
    ),
    one(
        "image in two splits",
        "one/test & one/train", "row 2 (one-train-0.png) = row 11", 'data.duplicates = "drop"',
        files=copy("one-train-0.png", "one-test-1.png"),
    ),
    one("no test images", "labels.csv: ", "two (no test)", "data.sites", rows=lambda rows: rows[:20]),
    one("site too small", "one (12)", "lower data.min_images_per_site", changes={"data.min_images_per_site": 30}),
    one("unknown site", 'data.sites names "three"', "one, two", changes={"data.sites": ["three"]}),
    one(
        "too many sites",
        "labels.csv: 16 training and validation images", "40 sites", "lower data.partition.num_sites",
        changes={"data.partition": {"name": "iid", "num_sites": 40}},
    ),
    one(
        "impossible partition",
        "labels.csv: no partition over 8 sites", "raise alpha",
        changes={"data.partition": {"name": "dirichlet", "num_sites": 8, "alpha": 0.001}},
    ),
]  # fmt: skip

IMAGES = [
    one("missing", "row 2 (gone.png): ", "missing file: gone.png; add the file", rows=cell("image", "gone.png")),
    one("truncated", ROW, "unreadable file: ", "export it again", files=cut("one-train-0.png")),
    one("no image", ROW, "neither PNG nor JPEG", files=text("<html>", "data/one-train-0.png")),
    one(
        "NaN",
        "row 2 (x.tif): NaN or infinite values: 64 of 64", "replace these values",
        rows=cell("image", "x.tif"), files=picture("x.tif", np.full((8, 8), np.nan, np.float32)),
    ),
    one(
        "no known range",
        "row 2 (x.tif)", "float32 values from 0 to 9", 'data.intensity = "percentiles"',
        rows=cell("image", "x.tif"), files=picture("x.tif", 9 * np.eye(8, dtype=np.float32)),
    ),
    one("no mask", ROW, "missing file: gone.png", changes=MASKS, rows=cell("mask", "gone.png")),
    one("truncated mask", ROW, "mask one-train-0-mask.png", changes=MASKS, files=cut("one-train-0-mask.png")),
    one(
        "mask of another size",
        ROW, "mask 5x6, image 10x12", "export the mask at the size",
        changes=MASKS, files=picture("one-train-0-mask.png", np.zeros((6, 5), np.uint8)),
    ),
    one(
        "wrong mask values",
        ROW, "values 0 to 255, expected class indices 0 to 1", "0 for background",
        changes=MASKS | {"data.masks": "classes"},
        files=picture("one-train-0-mask.png", np.arange(120, dtype=np.uint8).reshape(12, 10) // 119 * 255),
    ),
]  # fmt: skip

ALL = [*SCENARIOS, *OPTIONS, *TABLES, *IMAGES]

"""Broken inputs through the front door: what a hospital's engineer reads when something is wrong.

Each ends before training with exit code 2, one line per fault on standard error, nothing on standard output, no
traceback, and no run folder. Oracle: the damage done by hand, told in :mod:`tests.broken_inputs`.
"""

import copy
import csv
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from PIL import Image

from tests.broken_inputs import ALL, GONE, SCENARIO, Broken, Rows

CONSOLE = ("key misspelt", "no scenario", "garbage", "truncated", "--out is a file", "patient in two splits")
MAX_LINE = 400  # characters: longer is no line that anybody reads


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    """Two sites with four images and masks in each split, and the rows of their manifest."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    rows: Rows = []
    for site in ("one", "two"):
        for split in ("train", "val", "test"):
            for number in range(4):
                name = f"{site}-{split}-{number}"
                Image.fromarray(generator.integers(0, 256, (12, 10), dtype=np.uint8)).save(folder / f"{name}.png")
                mask = (generator.random((12, 10)) < 0.5).astype(np.uint8)
                Image.fromarray(mask).save(folder / f"{name}-mask.png")
                row = {"image": f"{name}.png", "mask": f"{name}-mask.png", "label": "ab"[number % 2]}
                rows.append(row | {"site": site, "split": split, "patient": f"p-{name}"})
    return folder, rows


def build(broken: Broken, images: tuple[Path, Rows], folder: Path) -> None:
    """``folder/scenario.toml`` and ``folder/data``, damaged."""
    shutil.copytree(images[0], folder / "data")
    rows = broken.rows(images[1])
    with (folder / "data" / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "scenario.toml").write_text(tomli_w.dumps(changed(broken)))
    broken.files(folder)


def changed(broken: Broken) -> dict[str, Any]:
    """The good scenario with the changes."""
    scenario = copy.deepcopy(SCENARIO)
    for key, value in broken.changes.items():
        *tables, last = key.split(".")
        table = scenario
        for name in tables:
            table = table[name]
        if value is GONE:
            del table[last]
        else:
            table[last] = value
    return scenario


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with the cache of decoded images beside it."""
    monkeypatch.setenv("MEDFED_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def check(broken: Broken, code: object, out: str, err: str, place: Path, before: dict[str, bytes]) -> None:
    lines = err.splitlines()
    assert (code, len(lines), out) == (2, len(broken.says), ""), err
    for line, words in zip(lines, broken.says, strict=True):
        assert line.startswith("medfed: error: ")
        assert len(line.replace(str(place), "")) <= MAX_LINE
        assert line.count(str(place)) <= 1, "the path stands there twice"
        for word in words:
            assert word in line
    assert contents(place) == before
    assert not (place / "runs").exists()


@pytest.mark.parametrize("broken", ALL, ids=str)
def test_in_process(broken: Broken, images: tuple[Path, Rows], place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from medfed import cli

    build(broken, images, place)
    before = contents(place)
    code = cli.run(["simulate", "scenario.toml", *broken.arguments], cli.COMMANDS)
    shown = capfd.readouterr()
    check(broken, code, shown.out, shown.err, place, before)


@pytest.mark.parametrize("broken", [case for case in ALL if case.name in CONSOLE], ids=str)
def test_the_console_script(broken: Broken, images: tuple[Path, Rows], place: Path) -> None:
    build(broken, images, place)
    before = contents(place)
    command = [str(Path(sys.executable).parent / "medfed"), "simulate", "scenario.toml", *broken.arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    check(broken, done.returncode, done.stdout, done.stderr, place, before)


def test_the_undamaged_scenario_runs(images: tuple[Path, Rows], place: Path) -> None:
    """The positive control: without it, any error at all could pass for the expected one."""
    from medfed import cli

    build(Broken("nothing", ()), images, place)
    assert cli.run(["simulate", "scenario.toml", "--quiet"], cli.COMMANDS) == 0


@pytest.mark.parametrize(
    ("arguments", "said"), [((), "never overwritten"), (("--overwrite",), "is not the folder of a run")]
)
def test_a_folder_that_is_there_stays_as_it_is(
    arguments: tuple[str, ...], said: str, images: tuple[Path, Rows], place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from medfed import cli

    build(Broken("nothing", ()), images, place)
    (place / "runs" / "broken").mkdir(parents=True)
    (place / "runs" / "broken" / "thesis.tex").write_text("years of work")
    before = contents(place)
    assert cli.run(["simulate", "scenario.toml", *arguments], cli.COMMANDS) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("medfed: error: runs/broken: ")
    assert said in line
    assert contents(place) == before


def test_a_folder_without_leave_to_write(
    images: tuple[Path, Rows], place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The system's refusal is put in its mouth, since tests may run as root, whom nothing is refused."""
    from medfed import cli

    build(Broken("nothing", ()), images, place)
    before = contents(place)

    make = Path.mkdir

    def refuse(path: Path, *arguments: Any, **settings: Any) -> None:
        if path.name == "broken":
            raise PermissionError(13, "Permission denied", str(path))
        make(path, *arguments, **settings)

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.mkdir", refuse)
        assert cli.run(["simulate", "scenario.toml"], cli.COMMANDS) == 2
    assert capfd.readouterr().err == (
        "medfed: error: runs/broken: cannot be made: Permission denied; choose another --out\n"
    )
    assert contents(place) == before

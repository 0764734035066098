"""Sections that are kept for the next audit. Oracle: whether a section was measured again after one thing changed."""

import csv
import sys
from pathlib import Path

import pytest
from PIL import Image

from medfed.audit.run import audit
from tests.medfed.audit.small_run import SITES, write_images

OWN = """
from typing import ClassVar
from medfed.audit.results import Finding, SectionResult, share
from medfed.registry import plugin
from my_audit.counts import RIGHT

@plugin
class Own:
    title: ClassVar[str] = "Own"

    def __call__(self, context):
        found = Finding(what="right", estimate=share(RIGHT, 100), threshold=0.5, kind="share")
        return SectionResult(findings=(found,))
"""


@pytest.fixture
def images(small_run: Path) -> Path:
    """The folder of the run's images, which lie beside it, so that a test may change them."""
    folder = small_run.parent / "images"
    write_images(folder)
    _move(small_run, folder)
    return folder


def _move(run: Path, images: Path) -> None:
    scenario = run / "scenario.toml"
    lines = [f'path = "{images}/labels.csv"' if line.startswith("path = ") else line for line in _lines(scenario)]
    scenario.write_text("\n".join(lines) + "\n")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _edit(images: Path, split: str, values: dict[str, str]) -> None:
    """Change the first row of a split at the first site."""
    with (images / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    next(row for row in rows if (row["site"], row["split"]) == (SITES[0], split)).update(values)
    with (images / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _measured(run: Path, calls: list[str]) -> list[str]:
    """What an audit of the run measures."""
    calls.clear()
    audit(run, sections=("steady",))
    return list(calls)


def test_images_that_lie_elsewhere_are_the_same(small_run: Path, images: Path, fakes: list[str]):
    assert _measured(small_run, fakes) == ["steady"]
    _move(small_run, images.rename(images.with_name("moved")))
    assert _measured(small_run, fakes) == []


@pytest.mark.parametrize(
    ("split", "values"),
    [
        ("train", {"label": "bright"}),
        ("val", {"patient": "somebody else"}),
        ("train", {"split": "val", "patient": "moved"}),
        ("train", {"site": SITES[1], "patient": "moved"}),
    ],
)
def test_what_is_said_of_any_image_counts(
    small_run: Path, images: Path, fakes: list[str], split: str, values: dict[str, str]
):
    """Without ``data.json``, so that nothing but the data themselves can tell."""
    (small_run / "data.json").unlink()
    assert _measured(small_run, fakes) == ["steady"]
    _edit(images, split, values)
    assert _measured(small_run, fakes) == ["steady"]


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_pixels_of_every_split_count(small_run: Path, images: Path, fakes: list[str], split: str):
    (small_run / "data.json").unlink()
    assert _measured(small_run, fakes) == ["steady"]
    Image.new("L", (16, 16), 7).save(images / f"0-{split}-0.png")
    assert _measured(small_run, fakes) == ["steady"]


def test_what_changed_since_the_run_began_counts(small_run: Path, fakes: list[str]):
    assert _measured(small_run, fakes) == ["steady"]
    kept = (small_run / "data.json").read_text()
    (small_run / "data.json").write_text(kept.replace('"number of images": "16"', '"number of images": "17"', 1))
    assert _measured(small_run, fakes) == ["steady"]
    (small_run / "data.json").unlink()
    assert _measured(small_run, fakes) == ["steady"]
    (small_run / "data.json").write_text(kept)
    assert _measured(small_run, fakes) == ["steady"]
    assert _measured(small_run, fakes) == []


def test_recorded_updates_and_refused_ones_count(small_run: Path, fakes: list[str]):
    assert _measured(small_run, fakes) == ["steady"]
    recorded = small_run / "recorded" / "1" / "north.safetensors"
    recorded.parent.mkdir(parents=True)
    for content in (b"one", b"two"):
        recorded.write_bytes(content)
        assert _measured(small_run, fakes) == ["steady"]
    recorded.rename(recorded.with_name("south.safetensors"))
    assert _measured(small_run, fakes) == ["steady"]
    line = '{"round": 1, "seconds": %d, "bytes_up": %d, "bytes_down": 0, "sites": {}}'
    (small_run / "rounds.jsonl").write_text(line % (1, 1))
    assert _measured(small_run, fakes) == ["steady"]
    (small_run / "rounds.jsonl").write_text(line % (9, 1))
    assert _measured(small_run, fakes) == []  # how long it took changes no figure
    (small_run / "rounds.jsonl").write_text(line % (9, 2))
    assert _measured(small_run, fakes) == ["steady"]


def test_the_source_of_a_section_of_one_s_own_counts(small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "my_audit"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "sections.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = []
    for right in (90, 80, 80):
        (package / "counts.py").write_text(f"RIGHT = {right}\n")
        for name in [name for name in sys.modules if name.partition(".")[0] == "my_audit"]:
            monkeypatch.delitem(sys.modules, name)  # as a new process would find it
        kept: list[frozenset[str]] = []
        report = audit(
            small_run, sections=("my_audit.sections:Own",), on_plan=lambda plan, names, kept=kept: kept.append(names)
        ).report
        found.append((report.sections[0].findings[0].estimate.value, len(kept[0])))
    assert found == [(0.9, 0), (0.8, 0), (0.8, 1)]


def test_what_was_not_tested_is_tried_again(small_run: Path, fakes: list[str]):
    audit(small_run, sections=("silent",))
    audit(small_run, sections=("silent",))
    assert fakes == ["silent", "silent"]


def test_what_the_report_is_about_is_never_taken_from_an_earlier_one(small_run: Path):
    kept: list[frozenset[str]] = []
    for _ in range(2):
        audit(small_run, sections=("identity", "performance"), on_plan=lambda plan, names: kept.append(names))
    assert kept == [frozenset(), frozenset({"performance"})]

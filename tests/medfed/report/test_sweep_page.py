"""The page, the console table and the schema of a sweep. Oracles: by hand, html.parser, jsonschema, Chromium."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from medfed.errors import RunFolderError
from medfed.report.schema import SWEEP_SCHEMA, sweep_schema
from medfed.report.sweep_console import sweep_table
from medfed.report.sweep_page import render_sweep
from medfed.report.sweep_results import SweepResult
from tests.medfed.report.html_page import Page, assert_sound
from tests.medfed.report.sweeps import build_sweep, write_sweep
from tests.medfed.report.test_browser import browser, look  # noqa: F401 - a fixture
from tests.medfed.report.test_page import HOSTILE

THREE = {"fedavg": [0.91, 0.92, 0.93], "fedprox": [0.92, 0.935, 0.94], "scaffold": [0.9, None, 0.93]}


def test_the_page_is_sound_and_says_how_to_choose(tmp_path: Path) -> None:
    path = render_sweep(write_sweep(tmp_path, build_sweep(THREE, status="DEGRADED")))
    page = Page(path)
    assert_sound(page)
    for text in ("Best by validation: strategy fedprox", "Choose by the validation column", "2 of 3, 1 failed"):
        assert text in page.text
    for text in ("95 % t intervals over 3 seeds", "QuorumError: round 3: too few", "reference", "DEGRADED"):
        assert text in page.text
    assert page.text.count("best by validation") == 1
    assert "/secret" not in path.read_text()
    assert len([a for a in page.named("svg") if a.get("class") == "figure"]) == 1
    first = path.read_bytes()
    assert render_sweep(tmp_path).read_bytes() == first


def test_one_seed_and_groups_and_a_stopped_sweep_are_said(tmp_path: Path) -> None:
    one = Page(render_sweep(write_sweep(tmp_path / "one", build_sweep({"a": [0.8]}, status="STOPPED"))))
    assert "One seed: test ranges are the run's own" in one.text
    assert "Not every run was tried yet." in one.text
    groups = build_sweep({"a": [0.8], "b": [0.9], "c": [0.7]}, groups={"a": 1, "b": 2, "c": 1})
    page = Page(render_sweep(write_sweep(tmp_path / "groups", groups)))
    assert page.text.index("Data 2") > page.text.index("Data 1")
    assert "to the first row of its group" in page.text


def test_hostile_names_do_no_harm(tmp_path: Path) -> None:
    page = Page(render_sweep(write_sweep(tmp_path, build_sweep({name: [0.5, 0.6] for name in HOSTILE}))))
    assert_sound(page)
    assert "7 * 7" in page.text


@pytest.mark.parametrize("content", [None, "{", '{"name": 3}'])
def test_a_folder_without_results_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"sweep\.json"):
        render_sweep(tmp_path)


def test_a_damaged_or_missing_sweep_toml_costs_the_scenario_only(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, build_sweep(THREE))
    for text in ("[[", "seeds = [1]"):
        (folder / "sweep.toml").write_text(text)
        assert "cannot be read" in Page(render_sweep(folder)).text
    (folder / "sweep.toml").unlink()
    assert "cannot be read" in Page(render_sweep(folder)).text


def printed(result: SweepResult) -> str:
    console = Console(width=80, force_terminal=False)
    with console.capture() as capture:
        console.print(sweep_table(result))
    return capture.get()


def test_the_console_table_fits_80_columns_and_marks_the_best() -> None:
    text = printed(build_sweep(THREE))
    assert max(map(len, text.splitlines())) <= 80
    assert "*0.932" in text
    assert text.count("*0.") == 1
    assert "2 of 3, 1" in text
    assert "+0.012" in text  # (0.01 + 0.015 + 0.01) / 3
    assert "…" not in text


def test_settings_are_shown_literally() -> None:
    assert "[red]a[/red]" in printed(build_sweep({"[red]a[/red]": [0.5]}))


def test_the_schema_is_up_to_date_and_holds() -> None:
    assert json.loads(SWEEP_SCHEMA.read_text()) == sweep_schema(), "run: python -m medfed.report.schema"
    validator = jsonschema.Draft202012Validator(sweep_schema())
    validator.check_schema(sweep_schema())
    sample = build_sweep(THREE).model_dump(mode="json")
    validator.validate(sample)
    assert SweepResult.model_validate(sample | {"status": "STOPPED"}).status == "STOPPED"
    for wrong in ({"schema_version": 2}, {"status": "FINE"}, {"rows": 3}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(sample | wrong)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_self_contained_and_fits(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:  # noqa: F811
    tests = {"a" * 90: [0.5, None], **{f"strategy {k}": [0.5, 0.6] for k in range(12)}}
    folder = write_sweep(tmp_path, build_sweep(tests, groups={name: len(name) % 3 for name in tests}))
    seen = look(browser, render_sweep(folder), width, scheme)
    assert [url for url in seen["requests"] if not url.startswith("data:")] == [(folder / "report.html").as_uri()]
    assert seen["complaints"] == []
    assert seen["sizes"][0] <= seen["sizes"][1]

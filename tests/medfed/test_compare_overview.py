"""The list of runs. Oracles: the folders that the test makes, html.parser, headless Chromium."""

import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest

from medfed import __version__
from medfed.audit.run import audit
from medfed.cli import COMMANDS, run
from medfed.compare.overview import list_runs
from medfed.errors import RunFolderError
from medfed.params import load_weights, save_weights
from medfed.report.runs_page import render_runs
from tests.medfed.audit.small_run import write_small_run
from tests.medfed.report.html_page import Page
from tests.medfed.report.test_browser import browser, look  # noqa: F401 - the fixture


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A finished and audited run, one in a sweep, one that is not finished, a damaged one, and no run."""
    root = tmp_path / "runs"
    root.mkdir()
    done = write_small_run(root)
    audit(done, sections=("identity",))
    (done / "report.html").write_text("a page")
    shutil.copytree(done, root / "sweep" / "<b> #1 50% & more")
    for name, summary in (("open", None), ("torn", "{")):
        (root / name).mkdir()
        (root / name / "scenario.toml").write_text("")
        if summary:
            (root / name / "summary.json").write_text(summary)
    return root


def test_every_run_has_a_line(root: Path):
    lines = {line.folder: line for line in list_runs(root)}
    assert list(lines) == ["open", "small", "sweep/<b> #1 50% & more", "torn"]
    assert (lines["open"].state, lines["torn"].state) == ("not finished", "damaged")
    small = lines["small"]
    assert (small.state, small.task, small.num_sites, small.page) == ("COMPLETED", "classification", 3, True)
    assert small.audit == "PASS"


def test_the_page_links_to_files_that_are_there(root: Path):
    (root / "index.html").write_text(render_runs(list_runs(root)))
    page = Page(root / "index.html")
    links = [attributes["href"] for attributes in page.named("a")]
    assert len(links) == 4
    assert all((root / unquote(link)).is_file() for link in links)
    assert "<b> #1" in page.text
    assert page.named("script") == page.named("b") == []


def test_the_command_lists_and_writes_the_page_only_when_asked(root: Path, capsys):
    assert run(["runs", str(root)], COMMANDS) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("small", "not finished", "damaged", "PASS"))
    assert not (root / "index.html").exists()
    assert run(["runs", str(root), "--index"], COMMANDS) == 0
    assert (root / "index.html").is_file()


def test_an_audit_of_what_the_run_is_no_longer_is_called_old(root: Path, capsys):
    report = root / "small" / "audit" / "report.json"
    text = report.read_text()
    assert list_runs(root)[1].audit_stale == ""
    report.write_text(text.replace(f'"version": "{__version__}"', '"version": "0.0.9"'))
    other = root / "sweep" / "<b> #1 50% & more"
    weights = load_weights(other / "model.safetensors")
    save_weights(other / "model.safetensors", {name: value + 1 for name, value in weights.items()})
    (other / "scenario.toml").write_text((other / "scenario.toml").read_text().replace("seed = 3", "seed = 4"))
    lines = {line.folder: line.audit_stale for line in list_runs(root)}
    assert lines["small"] == "another medfed (0.0.9)"
    assert lines["sweep/<b> #1 50% & more"] == "another model and another scenario"
    assert run(["runs", str(root)], COMMANDS) == 0
    assert "small: its audit is of another medfed (0.0.9)" in " ".join(capsys.readouterr().out.split())
    assert "old: of another medfed (0.0.9)" in render_runs(list_runs(root))


def test_a_folder_without_runs_and_no_folder(tmp_path: Path, capsys):
    assert run(["runs", str(tmp_path)], COMMANDS) == 0
    assert "no runs in" in capsys.readouterr().out
    with pytest.raises(RunFolderError, match="no such folder"):
        list_runs(tmp_path / "nowhere")
    assert "There are no runs" in render_runs([])


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_and_asks_for_nothing(root: Path, browser, width: int):  # noqa: F811
    path = root / "index.html"
    path.write_text(render_runs(list_runs(root) * 100))
    seen = look(browser, path, width, "dark")
    assert [url for url in seen["requests"] if not url.startswith("data:")] == [path.as_uri()]
    assert seen["complaints"] == []
    assert seen["sizes"][0] <= seen["sizes"][1]

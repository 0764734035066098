"""The printed page. Oracles: the PDF's own structure, and a machine without a browser."""

import re
import shutil
from pathlib import Path

import pytest

from medfed.audit import pdf as printing
from medfed.audit import run as running
from medfed.audit.run import audit
from medfed.cli import COMMANDS, run

needs_browser = pytest.mark.skipif(printing.find_browser() is None, reason="no system Chromium")


@needs_browser
def test_the_page_is_printed_beside_itself(small_run: Path, fakes: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "print_page", printing.print_page)
    found = audit(small_run, sections=("steady",), pdf=True)
    content = (found.folder / "report.pdf").read_bytes()
    assert found.no_pdf == ""
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 1
    audit(small_run, sections=("steady",), overrides=("steady.right=10",))
    assert not (found.folder / "report.pdf").exists()  # it would be of another report


def test_without_a_browser_one_line_says_so(small_run: Path, fakes: list[str], monkeypatch, capsys):
    monkeypatch.setattr(running, "print_page", printing.print_page)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (small_run / "audit").mkdir()
    (small_run / "audit" / "report.pdf").write_bytes(b"of an older report")
    assert run(["audit", str(small_run), "--sections", "steady"], COMMANDS) == 0
    assert "no PDF: none of chromium" in capsys.readouterr().out
    assert not (small_run / "audit" / "report.pdf").exists()
    assert (small_run / "audit" / "report.html").is_file()


def test_a_browser_that_does_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(printing, "find_browser", lambda: shutil.which("false"))
    (tmp_path / "report.html").write_text("<p>x")
    reason = printing.print_page(tmp_path / "report.html", tmp_path / "report.pdf")
    assert reason == "no PDF: false ended with code 1 and printed nothing"

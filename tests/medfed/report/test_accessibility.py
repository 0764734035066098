"""Can everybody read the pages? Oracle: axe-core 4.12, the engine behind most checkers of WCAG, in headless Chromium.

The library comes with a package of the development extra, so that nothing is fetched. It is run in a page of its own
making too, with planted faults, since an engine that does not run finds nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medfed.report.audit_page import render_audit
from medfed.report.page import render_run
from tests.medfed.audit.reports import audit_report, hostile_report
from tests.medfed.report.test_browser import LONG, browser  # noqa: F401 - the fixture

LOOKS = ((360, "light"), (1280, "dark"))
"""Each width and each scheme once: faults of layout do not depend on colours, nor those of colours on the width."""
SEVERE = ("serious", "critical")


def _faults(browser: Any, path: Path) -> Iterator[str]:  # noqa: F811
    """Every serious or critical fault, in both looks, with everything unfolded."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    page = browser.new_page()
    try:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        page.evaluate(axe.AXE_SCRIPT)
        for width, scheme in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate("axe.run({resultTypes: ['violations']})")
            for fault in found["violations"]:
                if fault["impact"] in SEVERE:
                    where = fault["nodes"][0]
                    yield f"{width} {scheme}: {fault['id']}: {where['target']}: {where['failureSummary']}"
    finally:
        page.close()


def _written(text: str, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8", errors="replace")
    return path


def test_the_engine_finds_what_is_planted(browser: Any, tmp_path: Path):  # noqa: F811
    planted = (
        '<title>x</title><img src="data:,"><p style="color:#aaa;background:#fff">grey on white</p><a href="#"></a>'
    )
    found = {fault.split(": ")[1] for fault in _faults(browser, _written(planted, tmp_path))}
    assert found >= {"image-alt", "color-contrast", "link-name", "html-has-lang"}


def test_the_page_of_a_run_has_no_serious_fault(browser: Any, finished: Path):  # noqa: F811
    assert list(_faults(browser, render_run(finished))) == []


def test_nor_has_that_of_a_run_that_went_badly(browser: Any, tmp_path: Path, build: Any):  # noqa: F811
    summary = build.summary(LONG, classes=[f"class {k}" for k in range(12)], status="DEGRADED")
    rounds = build.fail(build.rounds(LONG), LONG[0], [2], "no_space_" * 60)
    folder = build.run(tmp_path, summary, rounds, 'path = "' + "x" * 3000 + '"')
    assert list(_faults(browser, render_run(folder))) == []


@pytest.mark.parametrize("made", [audit_report, hostile_report])
def test_nor_has_that_of_an_audit(browser: Any, tmp_path: Path, made: Any):  # noqa: F811
    assert list(_faults(browser, _written(render_audit(made()), tmp_path))) == []

"""The page in a real browser. Oracle: headless Chromium (system package), with scripts of the page switched off."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medfed.report.page import render_run

LONG = ["hospital with a very long name that does not fit " * 5, "b", "c"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, or a skip that says why not."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no system Chromium; apt-get install chromium")
    with playwright.sync_playwright() as play:
        try:
            found = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        except playwright.Error as error:
            pytest.skip(f"Chromium does not start: {str(error).splitlines()[0]}")
        yield found
        found.close()


def look(browser: Any, path: Path, width: int, scheme: str) -> dict[str, Any]:
    """Open the page; what it asked for, what it complained about, and how wide it is."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri(), wait_until="load")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    sizes = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    colors = page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
    page.close()
    return {"requests": requests, "complaints": complaints, "sizes": sizes, "colors": colors}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("names", [None, LONG])
def test_page_is_self_contained_and_fits(browser: Any, tmp_path: Path, build: Any, names: Any, width: int, scheme: str):
    sites = names or build.sites
    summary = build.summary(sites, classes=[f"class {k}" for k in range(12)], status="DEGRADED")
    rounds = build.fail(build.rounds(sites), sites[0], [2], "no_space_" * 60)
    folder = build.run(tmp_path, summary, rounds, 'path = "' + "x" * 3000 + '"')
    build.synthetic_examples(folder, sites)
    seen = look(browser, render_run(folder), width, scheme)
    assert all(url.startswith(("file:", "data:")) for url in seen["requests"])
    assert [url for url in seen["requests"] if url.startswith("file:")] == [(folder / "report.html").as_uri()]
    assert seen["complaints"] == []
    assert seen["sizes"][0] <= seen["sizes"][1]


def test_dark_and_light_differ(browser: Any, finished: Path):
    path = render_run(finished)
    light, dark = (look(browser, path, 1280, scheme)["colors"] for scheme in ("light", "dark"))
    assert light != dark


def test_real_nuclei_are_outlined(browser: Any, tmp_path: Path, build: Any):
    if not (build.nuclei / "labels.csv").is_file():
        pytest.skip(f"real images are not there: {build.nuclei.name}")
    folder = build.run(tmp_path, build.summary(), build.rounds())
    build.nuclei_examples(folder)
    path = render_run(folder)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(path.as_uri())
    dashes = page.evaluate(
        "[...document.querySelectorAll('.photo .prediction')].map(e => getComputedStyle(e).strokeDasharray)"
    )
    solid = page.evaluate(
        "[...document.querySelectorAll('.photo .truth')].map(e => getComputedStyle(e).strokeDasharray)"
    )
    page.close()
    assert len(dashes) == len(solid) == 15
    assert set(solid) == {"none"}
    assert "none" not in dashes

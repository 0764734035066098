"""``report.pdf``: the page, printed by a Chromium that is on this machine already."""

import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_SECONDS = 120


def find_browser() -> str | None:
    """The path of a Chromium on ``PATH``; None where there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def print_page(page: Path, pdf: Path) -> str | None:
    """Print an HTML file into ``pdf``; an older one is replaced, or gone where this fails.

    The browser gets a profile of its own that is thrown away, and the page forbids itself every request. The sandbox
    is off, since it does not start as root or in most containers: the page has no script that it could hold.

    Returns:
        Why there is no PDF, in one line; None where there is one.
    """
    pdf.unlink(missing_ok=True)
    browser = find_browser()
    if browser is None:
        return f"no PDF: none of {', '.join(BROWSERS)} is on PATH; print report.html from a browser"
    with tempfile.TemporaryDirectory() as profile:
        printed = Path(profile) / "report.pdf"
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--no-first-run"]
        options += [f"--user-data-dir={profile}", f"--print-to-pdf={printed}", page.resolve().as_uri()]
        try:
            done = subprocess.run([browser, *options], capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"no PDF: {Path(browser).name} did not print the page: {type(error).__name__}"
        if not printed.is_file():
            return f"no PDF: {Path(browser).name} ended with code {done.returncode} and printed nothing"
        shutil.copyfile(printed, pdf)
    return None

"""A small finished run, and an audit of known sections."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.medfed.audit.small_run import write_small_run

    return write_small_run(tmp_path_factory.mktemp("audit"))


@pytest.fixture
def small_run(_template: Path, tmp_path: Path) -> Path:
    """A copy of the run; its images lie elsewhere and are shared."""
    return Path(shutil.copytree(_template, tmp_path / _template.name))


@pytest.fixture(autouse=True)
def _prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser starts in the test of the PDF only, which asks for it itself."""
    from medfed.audit import run

    monkeypatch.setattr(run, "print_page", lambda page, pdf: "no PDF: not in this test")


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sections of ``fake_sections.py`` in the place of all others; the list of those that were measured."""
    from medfed.audit import tables
    from tests.medfed.audit import fake_sections

    monkeypatch.setattr(tables, "TABLES", ("tests.medfed.audit.fake_sections:SECTIONS",))
    fake_sections.CALLS.clear()
    return fake_sections.CALLS

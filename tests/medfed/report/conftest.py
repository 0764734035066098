"""Run folders for the tests of the page."""

from pathlib import Path

import pytest

from tests.medfed.report.figures import NUCLEI_SITES, build_rounds, build_summary, estimate, fail
from tests.medfed.report.run_folders import (
    NUCLEI,
    write_examples,
    write_nuclei_examples,
    write_run,
    write_synthetic_examples,
)


class Builders:
    """The builders as one fixture."""

    sites = NUCLEI_SITES
    nuclei = NUCLEI
    estimate = staticmethod(estimate)
    summary = staticmethod(build_summary)
    rounds = staticmethod(build_rounds)
    fail = staticmethod(fail)
    run = staticmethod(write_run)
    examples = staticmethod(write_examples)
    synthetic_examples = staticmethod(write_synthetic_examples)
    nuclei_examples = staticmethod(write_nuclei_examples)


@pytest.fixture
def build() -> type[Builders]:
    """Builders of summaries, rounds and run folders."""
    return Builders


@pytest.fixture
def finished(tmp_path: Path, build: type[Builders]) -> Path:
    """A completed run of five sites with synthetic examples."""
    folder = build.run(tmp_path / "run", build.summary(), build.rounds())
    build.synthetic_examples(folder, build.sites)
    return folder

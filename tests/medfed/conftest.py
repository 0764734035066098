"""A small scenario as a file."""

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """``scenarios/trial.toml`` with the text of ``trial.py``."""
    from tests.medfed.trial import TEXT

    path = tmp_path / "scenarios" / "trial.toml"
    path.parent.mkdir()
    path.write_text(TEXT)
    return path

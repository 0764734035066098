"""docs/attacks.md. Oracles: the tables of the code; the example is run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from robustness.attacks import ATTACKS
from robustness.attacks.threat import Goal, Norm
from tests.conftest import ROOT
from tests.robustness.attacks.subjects import checks, linear, measure

PAGE = (ROOT / "docs" / "attacks.md").read_text()


def rows(heading: str) -> dict[str, list[str]]:
    """First cell -> the others, of the table whose header starts with ``heading``."""
    lines = PAGE[PAGE.index(f"| {heading}") :].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first.strip("`").split("`")[0]: rest for first, *rest in cells}


def test_the_table_of_attacks_is_that_of_the_code() -> None:
    found = rows("name | norms |")
    assert list(found) == list(ATTACKS)
    assert {name: tuple(row[0].split(", ")) for name, row in found.items()} == {
        name: attack.norms for name, attack in ATTACKS.items()
    }


@pytest.mark.parametrize(("heading", "names"), [("`norm` | `eps` is", get_args(Norm)), ("`goal` |", get_args(Goal))])
def test_norms_and_goals_are_all_there(heading: str, names: tuple[str, ...]) -> None:
    assert tuple(rows(heading)) == names


def test_the_table_of_checks_is_that_of_the_code() -> None:
    subject = linear()
    found = checks(subject, measure(subject))
    assert set(rows("check | holds if")) == {finding.name for finding in found} | {"side_effects"}


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    script = tmp_path / "example.py"
    script.write_text(example)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, script], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    clean, attacked = (float(figure) for figure in re.findall(r": +([01]\.\d\d)", done.stdout))
    assert clean > 0.6
    assert attacked < clean
    assert done.stdout.endswith("the measurement is valid\n")

"""The audit of a small run. Oracles: by hand, byte equality, xml and csv of the standard library, jsonschema."""

import csv
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import torch

import medfed
from medfed.audit.outputs import junit
from medfed.audit.results import Finding, SectionResult, census, share
from medfed.audit.run import audit
from medfed.cli import COMMANDS, run
from medfed.errors import RunFolderError, StopRequested
from medfed.params import load_weights, save_weights
from medfed.report.schema import AUDIT_SCHEMA, audit_schema
from tests.medfed.audit.reports import report_of

FILES = ("report.json", "report.html", "junit.xml", "samples.csv", "timing.json")


def _verdicts(found) -> dict[str, str]:
    return {section.name: str(section.verdict) for section in found.report.sections}


def test_a_section_that_breaks_is_an_error_and_the_others_go_on(small_run: Path, fakes: list[str]):
    found = audit(small_run)
    assert _verdicts(found) == {"steady": "PASS", "broken": "ERROR", "silent": "NOT_TESTED", "drawing": "NOT_TESTED"}
    assert found.report.verdict == "ERROR"
    broken = found.report.sections[1]
    assert broken.error.error == "ZeroDivisionError: a bug <b>in</b> the section"
    assert broken.error.traceback[-1].startswith("fake_sections.py, line ")
    assert str(Path(medfed.__file__).parent) not in repr(broken.error)
    assert found.report.sections[2].not_tested == ("the whole section: no recorded updates",)
    assert {part.name for part in found.report.missing} >= {"identity", "adversarial", "shortcuts"}
    assert all((found.folder / name).is_file() for name in FILES)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(small_run: Path, fakes: list[str]):
    first = (audit(small_run).folder / "report.json").read_bytes()
    shutil.rmtree(small_run / "audit")
    torch.rand(3)  # what the caller drew before must not matter
    folder = audit(small_run).folder
    assert (folder / "report.json").read_bytes() == first
    shutil.rmtree(small_run / "audit")
    assert (audit(small_run, seed=99).folder / "report.json").read_bytes() != first


def test_a_section_draws_the_same_whichever_ran_before(small_run: Path, fakes: list[str]):
    alone = audit(small_run, sections=("drawing",)).report.sections[0]
    shutil.rmtree(small_run / "audit")
    assert audit(small_run).report.sections[3] == alone


def test_the_caller_s_random_state_is_left_as_it_was(small_run: Path, fakes: list[str]):
    before = torch.get_rng_state()
    audit(small_run, sections=("drawing",))
    assert torch.equal(torch.get_rng_state(), before)


def test_finished_sections_are_kept_and_broken_ones_tried_again(small_run: Path, fakes: list[str]):
    first = audit(small_run)
    before = {name: (first.folder / name).read_bytes() for name in FILES if name != "timing.json"}
    fakes.clear()
    again = audit(small_run)
    assert fakes == ["broken", "silent", "drawing"]  # the last two came to no verdict
    assert {name: (again.folder / name).read_bytes() for name in before} == before
    fakes.clear()
    audit(small_run, overrides=("steady.right=80",))
    assert fakes == ["steady", "broken", "silent", "drawing"]


def test_ctrl_c_loses_one_section_at_most(small_run: Path, fakes: list[str]):
    def stop(result):
        raise StopRequested("enough")

    with pytest.raises(StopRequested):
        audit(small_run, on_section=stop)
    assert not (small_run / "audit" / "report.json").exists()
    audit(small_run, sections=("steady",))
    assert fakes == ["steady"]


def test_another_model_or_a_damaged_file_measures_anew(small_run: Path, fakes: list[str]):
    audit(small_run, sections=("steady",))
    weights = load_weights(small_run / "model.safetensors")
    save_weights(small_run / "model.safetensors", {name: value + 1 for name, value in weights.items()})
    audit(small_run, sections=("steady",))
    assert fakes == ["steady", "steady"]
    (small_run / "audit" / "sections" / "steady.json").write_text("{")
    audit(small_run, sections=("steady",))
    assert len(fakes) == 3


def test_a_patient_gives_one_image(small_run: Path):
    from medfed.audit.opening import open_run

    context, _ = open_run(small_run, None, lambda what, done: None)
    tests = context.draw_tests(100, "x")
    assert len(tests.images) == tests.num_patients == len(set(tests.patients)) == 12
    assert tests.images.shape == (12, 1, 16, 16)
    fewer = context.draw_tests(5, "x")
    assert set(fewer.rows) <= set(tests.rows)
    assert len(fewer.rows) == 5


def test_junit_counts_what_the_report_says(small_run: Path, fakes: list[str]):
    folder = audit(small_run, overrides=("steady.right=10",)).folder
    suites = {suite.get("name"): suite for suite in ElementTree.parse(folder / "junit.xml").getroot()}
    counts = {
        name: [suite.get(k) for k in ("tests", "failures", "errors", "skipped")] for name, suite in suites.items()
    }
    assert counts == {
        "steady": ["2", "2", "0", "0"],  # the threshold, and the section
        "broken": ["1", "0", "1", "0"],
        "silent": ["1", "0", "0", "1"],
        "drawing": ["1", "0", "0", "1"],
    }
    assert suites["broken"].find("testcase/error").get("message").endswith("a bug <b>in</b> the section")


def test_junit_says_of_a_count_of_all_there_are_that_it_is_one():
    named = Finding(what="sites", estimate=census(1, 4), threshold=0.05, direction="at_most", kind="census")
    right = Finding(what="right", estimate=share(1, 4), threshold=0.5, kind="share")
    root = ElementTree.fromstring(junit(report_of(SectionResult(name="s", findings=(named, right)))))
    failed = {case.get("name"): next(iter(case)).get("message") for case in root.iter("testcase") if len(case)}
    assert failed["sites <= 0.05"] == "1 of all 4, n = 4"
    assert failed["right >= 0.5"].startswith("0.250 (0.006\u2013")


def test_the_last_line_of_a_command_shows_a_fail_beside_what_broke(small_run: Path, fakes: list[str], capsys):
    assert run(["audit", str(small_run), "--set", "steady.right=10", "--no-pdf"], COMMANDS) == 3
    assert "FAIL, ERROR  page:" in capsys.readouterr().out


def test_samples_name_rows_and_start_no_formula(small_run: Path, fakes: list[str]):
    folder = audit(small_run, sections=("steady",)).folder
    with (folder / "samples.csv").open(newline="") as file:
        header, row = csv.reader(file)
    assert header == ["section", "site", "row", "measure", "value"]
    assert row == ["steady", "'=cmd|' /C calc'!A0", "7", "right", "0.5"]


def test_times_stand_apart(small_run: Path, fakes: list[str]):
    folder = audit(small_run).folder
    assert set(json.loads((folder / "timing.json").read_text())) == {"steady", "broken", "silent", "drawing"}
    report = json.loads((folder / "report.json").read_text())
    assert set(report.pop("budget")) == {
        "seconds",
        "planned_seconds",
        "reduced",
    }  # by counting, no clock
    assert "seconds" not in json.dumps(report)


def test_the_schema_is_that_of_the_model_and_holds(small_run: Path, fakes: list[str]):
    assert json.loads(AUDIT_SCHEMA.read_text()) == audit_schema(), "run: python -m medfed.report.schema"
    validator = jsonschema.Draft202012Validator(audit_schema())
    report = json.loads((audit(small_run).folder / "report.json").read_text())
    validator.validate(report)
    assert "samples" not in report["sections"][0]
    for wrong in ({"schema_version": 2}, {"verdict": "FINE"}, {"seed": "one"}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(report | wrong)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--sections", "steady"], 0),
        (["--sections", "steady,silent", "--fail-on", "FAIL,INVALID"], 0),
        (["--sections", "steady", "--set", "steady.right=10"], 0),
        (["--sections", "steady", "--set", "steady.right=10", "--fail-on", "FAIL,INVALID"], 1),
        (["--sections", "broken"], 3),
        (["--sections", "broken", "--fail-on", "ERROR"], 1),
        (["--fail-on", "WRONG"], 2),
        (["--sections", "stedy"], 2),
        (["--set", "steady.rigth=1"], 2),
        (["--set", "steady"], 2),
        (["--set", "nobody.right=1"], 2),
        (["--set", "steady.right=many"], 2),
    ],
)
def test_exit_codes(small_run: Path, fakes: list[str], capsys, options: list[str], code: int):
    assert run(["audit", str(small_run), *options], COMMANDS) == code
    complaint = capsys.readouterr().err
    assert complaint.startswith("medfed: error: ") == (code == 2)
    assert "Traceback" not in complaint


def test_a_wrong_name_gets_the_nearest(small_run: Path, fakes: list[str], capsys):
    run(["audit", str(small_run), "--sections", "stedy"], COMMANDS)
    assert 'did you mean "steady"?' in capsys.readouterr().err
    run(["audit", str(small_run), "--set", "steady.rigth=1"], COMMANDS)
    assert '--set steady: key "rigth": unknown key; did you mean "right"?' in capsys.readouterr().err


def test_a_run_that_is_not_finished_is_refused(small_run: Path, fakes: list[str]):
    (small_run / "model.safetensors").unlink()
    with pytest.raises(RunFolderError, match="finish the run first"):
        audit(small_run)
    assert not (small_run / "audit").exists()


def test_two_tables_with_one_name_are_an_error(monkeypatch):
    from medfed.audit import tables

    monkeypatch.setattr(tables, "TABLES", ("medfed.audit.own:SECTIONS", "medfed.audit.own:SECTIONS"))
    with pytest.raises(ValueError, match="another table has a section of that name: identity, performance"):
        _ = tables.SECTIONS


def test_every_table_of_sections_resolves():
    from medfed.audit.contract import AuditSection
    from medfed.audit.tables import TABLES
    from medfed.registry import resolve

    for target in TABLES:
        assert all(isinstance(section(), AuditSection) for section in resolve(target).values())


def test_the_package_is_the_function_of_the_public_interface(small_run: Path, fakes: list[str]):
    assert medfed.audit(small_run, sections=("steady",)).report.verdict == "PASS"

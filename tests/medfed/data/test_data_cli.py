"""Oracle: the exit codes that `medfed data check` promises, and the words on the two streams."""

import subprocess
import sys

import pytest
from PIL import Image
from typer.testing import CliRunner

from medfed.cli import COMMANDS, run
from medfed.data.cli import app

runner = CliRunner(env={"COLUMNS": "200"})


def test_clean(build):
    result = runner.invoke(app, ["check", str(build())])
    assert result.exit_code == 0
    assert "48 images, 2 sites" in result.stdout
    assert "nothing found" in result.stdout


def test_warnings_only(build):
    result = runner.invoke(app, ["check", str(build(per_split=2))])
    assert result.exit_code == 0
    assert "small site" in result.stdout
    assert "0 errors, 2 warnings" in result.stdout


def test_errors(build, tmp_path):
    path = build()
    Image.open(tmp_path / "one-train-0.png").save(tmp_path / "one-test-0.png")
    result = runner.invoke(app, ["check", str(path)])
    assert result.exit_code == 1
    for word in ("error", "same image in two splits", "one/test", "data.duplicates"):
        assert word in result.stdout


def test_options(build, tmp_path):
    path = build()
    path.write_text(path.read_text().replace("patient", "lesion_id").replace("label,", "diagnosis,"))
    arguments = ["check", str(path), "--column", "patient=lesion_id", "--column", "label=diagnosis"]
    assert runner.invoke(app, [*arguments, "--classes", "a, b"]).exit_code == 0
    result = runner.invoke(app, [*arguments, "--classes", "a,x"])
    assert result.exit_code == 1
    assert "label unknown: b" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere.csv"],
        ["."],
        ["labels.txt"],
        ["labels.csv", "--column", "patient"],
        ["labels.csv", "--column", "lesion=patient"],
        ["labels.csv", "--column", "patient=nobody"],
    ],
)
def test_bad_usage_is_one_line_on_stderr(build, tmp_path, monkeypatch, capsys, arguments):
    build()
    (tmp_path / "labels.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    assert run(["data", "check", *arguments], COMMANDS) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("medfed: error: ")
    assert said.err.count("\n") == 1


def test_unknown_option_and_no_command():
    assert runner.invoke(app, ["check", "x.csv", "--nonsense"]).exit_code == 2
    assert runner.invoke(app, ["chekc"]).exit_code == 2
    said = runner.invoke(app, ["--help"]).stdout
    assert "check" in said
    assert "completion" not in said


def test_keys_to_type_are_whole_on_80_columns(build, tmp_path):
    path = build(per_split=2)
    Image.open(tmp_path / "one-train-0.png").save(tmp_path / "one-test-0.png")
    said = runner.invoke(app, ["check", str(path)], env={"COLUMNS": "80"}).stdout
    assert "data.min_images_per_site" in said
    assert "data.duplicates" in said
    assert "\N{HORIZONTAL ELLIPSIS}" not in said
    assert max(map(len, said.splitlines()[1:])) <= 80


def test_help_does_not_import_torch(repository):
    code = "import sys, medfed.data.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0

"""What may stand for SCENARIO. Oracles: the folder of the bundled scenarios, exit codes, the file that was meant."""

from pathlib import Path

import pytest

from medfed import cli
from medfed.config import load_scenario
from medfed.errors import ScenarioError
from simulations.bundled import FOLDER, scenario_file

NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", ["{}", "{}.toml"])
def test_a_bundled_scenario_is_known_by_its_name(
    name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_scenario(scenario_file(Path(form.format(name)))).name == name


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pneumonia-cnn").touch()
    assert scenario_file(Path("pneumonia-cnn")) == Path("pneumonia-cnn")


@pytest.mark.parametrize("given", ["pneumonia", "elsewhere/pneumonia-cnn", "/pneumonia-cnn.toml"])
def test_what_is_neither_is_told_with_what_to_type(given: str) -> None:
    with pytest.raises(ScenarioError) as told:
        scenario_file(Path(given))
    assert str(told.value).startswith(f"{given}: no such file")
    assert str(told.value).endswith(f"or one of: {', '.join(NAMES)}")


@pytest.mark.parametrize("command", ["simulate", "sweep"])
def test_both_commands_take_names(command: str, tmp_path: Path, monkeypatch, capfd) -> None:
    """With a fault in the scenario itself, so that nothing is trained: the line names the file that was read."""
    monkeypatch.chdir(tmp_path)
    assert cli.run([command, "pneumonia-cnn", "--set", "training.rounds=0"], cli.COMMANDS) == 2
    assert 'pneumonia-cnn.toml with --set: key "training.rounds"' in capfd.readouterr().err
    assert cli.run([command, "pneumonia"], cli.COMMANDS) == 2
    assert "or one of: nuclei-unet, pneumonia-cnn" in capfd.readouterr().err


def test_a_scenario_is_validated_after_all_overrides(tmp_path: Path) -> None:
    """krum has no default for num_byzantine: the file is not valid by itself, nor after the first override alone."""
    text = (FOLDER / "pneumonia-cnn.toml").read_text()
    (tmp_path / "krum.toml").write_text(f'{text}\n[federation]\naggregator = "krum"\n')
    with pytest.raises(ScenarioError, match="num_byzantine"):
        load_scenario(tmp_path / "krum.toml")
    for path, overrides in (
        (tmp_path / "krum.toml", ("aggregator.num_byzantine=1",)),
        (FOLDER / "pneumonia-cnn.toml", ("federation.aggregator.num_byzantine=1", "federation.aggregator.name=krum")),
    ):
        assert load_scenario(path, overrides).federation.aggregator.num_byzantine == 1

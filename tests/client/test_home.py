"""What a site keeps. Oracle: by hand, one round after the other, with rounds that are run again."""

from pathlib import Path

import pytest
import torch
from flwr.app import Context, RecordDict

from client.home import SiteState, site_state
from medfed.config import parse_scenario
from medfed.errors import SiteError

SCENARIO = parse_scenario("""
    name = "home"
    model = "small_cnn"
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 28 }
    training = { rounds = 9, local_steps = 1, batch_size = 1, loss = "cross_entropy" }
""")


def state(value: float) -> dict[str, torch.Tensor]:
    return {"x": torch.tensor([value])}


def test_a_round_starts_from_the_newest_state_before_it(tmp_path: Path) -> None:
    home = SiteState(tmp_path / "s")
    assert home.load(0) == {}
    home.save(1, state(1.0))
    home.save(4, state(4.0))  # not asked in rounds 2 and 3
    assert home.load(3)["x"].item() == 1.0
    assert home.load(8)["x"].item() == 4.0


def test_a_round_that_is_run_again_starts_from_what_it_started_from(tmp_path: Path) -> None:
    """The server was killed after the site had kept its state of round 3: round 3 comes again, and reads round 2."""
    home = SiteState(tmp_path)
    for number in (1, 2, 3):
        home.save(number, state(number))
    assert home.load(2)["x"].item() == 2.0
    home.save(3, state(33.0))
    assert home.load(3)["x"].item() == 33.0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.safetensors", "3.safetensors"]


def test_rounds_that_were_undone_are_forgotten(tmp_path: Path) -> None:
    home = SiteState(tmp_path)
    for number in (1, 2, 3):
        home.save(number, state(number))
    home.save(2, state(22.0))  # the server's last checkpoint is of round 1
    assert home.load(9)["x"].item() == 22.0


def test_a_site_without_a_folder_can_only_keep_nothing(tmp_path: Path) -> None:
    SiteState(None).save(1, {})
    assert SiteState(None).load(1) == {}
    with pytest.raises(SiteError, match='--node-config home="FOLDER"'):
        SiteState(None).save(1, state(1.0))


def test_where_a_site_keeps_things_is_its_own_configuration(tmp_path: Path, monkeypatch) -> None:
    def context(**node_config: str) -> Context:
        return Context(1, 2, dict(node_config), RecordDict(), {})

    site_state(context(site="a", home=str(tmp_path)), SCENARIO, "run-1").save(1, state(1.0))
    assert (tmp_path / "state" / "run-1" / "1.safetensors").exists()
    monkeypatch.setenv("MEDFED_HOME", str(tmp_path / "all"))
    site_state(context(site="b.c"), SCENARIO, "run-1").save(1, state(1.0))
    assert (tmp_path / "all" / "b%2Ec" / "state" / "run-1" / "1.safetensors").exists()

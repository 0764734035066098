"""Budgets that no site could keep are refused before anything runs. Oracle: by hand."""

import pytest

from medfed.config import Scenario, parse_scenario
from medfed.errors import ScenarioError
from medfed.models.initial import initial_model
from server.privacy_checks import check_privacy

SCENARIO = """
    name = "private"
    model = { name = "small_cnn", width = 1, norm = "group" }
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 28 }
    training = { rounds = 6, local_steps = 60, batch_size = 1, loss = "cross_entropy" }
    federation = { sites = ["s0", "s1", "s2", "s3"] }
"""
NOISE = {"clip": 1.0, "noise_multiplier": 2.0}


def scenario(mechanism: str, **changes: object) -> Scenario:
    found = {"privacy.mechanism": {"name": mechanism, **NOISE}} | changes
    return parse_scenario(SCENARIO).replace(**found)


def check(found: Scenario) -> None:
    check_privacy(found, initial_model(found))


@pytest.mark.parametrize(
    ("mechanism", "key", "said"),
    [
        ("central", {"privacy.budget": {"site": 8.0}}, 'key "privacy.budget.site": is for ledgers at the sites'),
        ("central_adaptive", {"privacy.ledger": "folder"}, 'key "privacy.ledger": is for ledgers at the sites'),
        ("dp_sgd", {"privacy.budget": {"patient": 8.0}}, 'key "privacy.budget.patient": dp_sgd hides one record'),
        ("dp_sgd", {"privacy.budget": {"site": 8.0}}, "expected budget.record, or noise for a site"),
    ],
)
def test_refused(mechanism: str, key: dict[str, object], said: str) -> None:
    with pytest.raises(ScenarioError) as found:
        check(scenario(mechanism, **key))
    assert said in str(found.value)
    assert len(str(found.value).splitlines()) == 1


@pytest.mark.parametrize(("mechanism", "unit"), [("dp_sgd", "record"), ("local", "site"), ("local", "record")])
def test_kept(mechanism: str, unit: str) -> None:
    """Noise for whole sites keeps a budget per record as well."""
    check(scenario(mechanism, **{"privacy.budget": {unit: 8.0}, "privacy.ledger": "folder"}))


def test_a_budget_survives_the_scenario_file() -> None:
    found = scenario("local", **{"privacy.budget": {"record": 3.5}, "privacy.accountant": "rdp"})
    assert parse_scenario(found.to_toml()) == found
    with pytest.raises(ScenarioError, match=r"privacy\.budget\.record"):
        scenario("local", **{"privacy.budget": {"record": 0.0}})

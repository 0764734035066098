"""Scenarios that cannot be private are refused with a remedy; what sites would pay. Oracles: by hand, closed forms."""

from dataclasses import replace
from typing import Any

import pytest

from medfed.config import Scenario, parse_scenario
from medfed.errors import ScenarioError, UpdateError
from medfed.messages import SiteInfo, info_reply, read_info
from medfed.models.initial import initial_model
from privacy.gaussian import gaussian_epsilon, noise_multiplier
from privacy.release import Release, total_epsilon
from privacy.training.scenario import backend_of
from server.checks import check_info
from server.federation import asked_sites
from server.releases import privacy_statement, releases, site_releases, spent, split_warnings
from server.scenario_checks import check_federation
from server.strategies import STRATEGIES
from simulations.vectorise import check_vectorise

TEXT = """
    name = "private"
    model = { name = "small_cnn", width = 1 }
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 16 }
    training = { rounds = 6, local_steps = 10, batch_size = 20, loss = "cross_entropy" }
    federation = { sites = ["s0", "s1", "s2", "s3"] }
    [privacy]
    mechanism = { name = "dp_sgd", clip = 1.0, noise_multiplier = 1.1 }
"""
RECORDS = {"name": "dp_sgd", "clip": 1.0, "noise_multiplier": 1.1}
LOCAL = {"name": "local", "clip": 1.0, "noise_multiplier": 1.1}
PATIENTS = {"name": "dp_sgd", "clip": 1.0, "noise_multiplier": 1.1, "unit": "patient"}


def scenario(**changes: Any) -> Scenario:
    return parse_scenario(TEXT).replace(**changes)


def refusal(one: Scenario) -> str:
    with pytest.raises(ScenarioError) as found:
        check_federation(one, initial_model(one))
    assert len(str(found.value).splitlines()) == 1
    return str(found.value)


def infos(counts: dict[str, int], patients: int = 0) -> dict[str, SiteInfo]:
    return {site: SiteInfo(site, count, 1, 1, (count, 0), patients) for site, count in counts.items()}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model.norm": "batch", "federation.batch_norm": "average"}, ("BatchNorm", 'norm = "group"')),
        ({"model.norm": "batch", "federation.batch_norm": "local"}, ("BatchNorm", 'federation.batch_norm = "frozen"')),
        ({"training.loss": {"name": "cross_entropy", "class_weights": "balanced"}}, ("class_weights", "without noise")),
        ({"training.loss": {"name": "bce", "pos_weight": "balanced"}, "task.head": "sigmoid"}, ("pos_weight",)),
        ({"training.loss": {"name": "cross_entropy", "class_weights": (1.0, 2.0)}}, ("cancel out", "pos_weight")),
        ({"training.precision": "bfloat16"}, ("training.precision", '"float32"')),
        ({"training.adversarial": "fast"}, ("training.adversarial", '"none"')),
        (
            {"training.trainer": {"name": "tests.simulations.faulty:Faulty", "sites": ("s0",)}},
            ("training.trainer", '"standard"'),
        ),
        ({"federation.strategy": "scaffold"}, ("second release",)),
        ({"evaluation.patience": 2}, ("choose a round by scores",)),
        ({"privacy.mechanism": PATIENTS | {"backend": "ghost"}}, ("privacy.mechanism.backend", '"auto" or "loop"')),
        ({"privacy.mechanism": PATIENTS | {"multiplicity": 4}}, ("multiplicity", "or training.transforms")),
        (
            {"privacy.mechanism": RECORDS | {"multiplicity": 4, "backend": "ghost"}, "training.transforms": ("flip",)},
            ("privacy.mechanism.backend", "several images"),
        ),
    ],
)
def test_what_would_not_be_private_is_refused_with_a_remedy(changes, words):
    found = refusal(scenario(**changes))
    assert all(word in found for word in words), found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"privacy.mechanism": PATIENTS},
        {"model.norm": "batch", "federation.batch_norm": "frozen"},
        {"model.dropout": 0.5},
        {"training.loss": {"name": "bce", "pos_weight": 2.0}, "task.head": "sigmoid"},
        {"federation.aggregator": "median"},
        {"training.optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}},
        {"federation.compression": "int8"},
        {"privacy.mechanism.backend": "hooks"},
    ],
)
def test_what_sees_noised_gradients_only_is_allowed(changes):
    one = scenario(**changes)
    check_federation(one, initial_model(one))
    assert parse_scenario(one.to_toml()) == one


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"fedper", "scaffold"}))
def test_strategies(name):
    one = scenario(**{"federation.strategy": {"name": name}})
    check_federation(one, initial_model(one))


def test_batches_of_sites_are_refused():
    """They are trained together, by a loop that neither clips nor noises."""
    one = scenario(**{"engine.vectorise": 4})
    with pytest.raises(ScenarioError, match="dp_sgd"):
        check_vectorise(one, initial_model(one))


def test_the_back_end_follows_from_the_model():
    assert backend_of(scenario()) == "vmap"
    assert backend_of(scenario(**{"privacy.mechanism.backend": "ghost"})) == "ghost"


def test_rates_and_steps_are_those_of_the_site():
    one = scenario()
    asked = asked_sites(one, 3)
    found = site_releases(one, infos({"s0": 100, "s1": 400}), asked)
    assert found["s0"] == [Release("gaussian", 1.0, 1.1, 0.2, 10, "record", "add_remove", n) for n in (1, 2, 3)]
    assert {release.sampling_rate for release in found["s1"]} == {0.05}
    epochs = scenario(**{"training.local_steps": None, "training.local_epochs": 2})
    assert site_releases(epochs, infos({"s0": 101}), asked)["s0"][0].steps == 12
    few = site_releases(one, infos({"s0": 7}), asked)["s0"]
    assert {release.sampling_rate for release in few} == {1.0}
    assert total_epsilon(few, 1e-5) == pytest.approx(gaussian_epsilon(30**0.5 / 1.1, 1e-5))


def test_patients_are_fewer_than_images_and_cost_more():
    one = scenario(**{"privacy.mechanism": PATIENTS})
    known, asked = infos({"s0": 400}, patients=100), asked_sites(one, 3)
    (release, *_) = releases(one, known, asked)
    assert (release.unit, release.sampling_rate) == ("patient", 0.2)
    assert spent(one, known, asked) == spent(scenario(), infos({"s0": 100}), asked)
    assert spent(one, known, asked) > spent(scenario(), infos({"s0": 400}), asked)


def test_epsilon_is_the_largest_of_the_sites_not_their_sum():
    one = scenario()
    asked = asked_sites(one, 6)
    counts = {"s0": 1000, "s1": 100, "s2": 300, "s3": 100}
    alone = {site: spent(one, infos({site: count}), asked) for site, count in counts.items()}
    together = spent(one, infos(counts), asked)
    assert together == max(alone.values()) == alone["s1"]
    assert together < sum(alone.values()) / 2
    epochs = one.replace(**{"training.local_steps": None, "training.local_epochs": 1})
    alone = {site: spent(epochs, infos({site: count}), asked) for site, count in counts.items()}
    assert spent(epochs, infos(counts), asked) == max(alone.values())


def test_rounds_are_composed_not_added():
    one = scenario()
    known = infos({"s0": 400})
    each = [spent(one, known, asked_sites(one, number)) for number in (1, 2, 6)]
    assert each[0] < each[1] < each[2] < 3 * each[0]


def test_the_statement_names_unit_site_and_what_it_does_not_cover():
    one = scenario()
    asked = asked_sites(one, 6)
    found = privacy_statement(one, infos({"s0": 1000, "s1": 100}), asked, 900, True)
    assert [g.unit for g in found.guarantees] == ["record", "record"]
    assert [g.relation for g in found.guarantees] == ["replace", "add_remove"]
    assert found.guarantees[0].epsilon > found.guarantees[1].epsilon
    assert found.guarantees[0].epsilon == spent(one, infos({"s1": 100}), asked)
    for words in (
        "any one training image",
        "record level, one record replaced by another, by pld",
        "at s1",
        "60 steps in 6 releases",
        "Not private",
        f"is protected with epsilon = {found.guarantees[0].epsilon:.3g}",
        f"{found.guarantees[1].epsilon:.3g} for one record added or removed (by pld) does not hold",
        "validation and test scores, which are sent without noise",
    ):
        assert words in found.sentence
    assert any('unit = "patient"' in item for item in found.not_covered)
    assert any("taken for public" in item and "how many images" in item for item in found.not_covered)
    assert "vmap" in found.covered
    z = noise_multiplier(8.0, 1e-5, 6)  # of sigma on a mean of four sites, over 900 values
    assert "Whole sites are not hidden" in found.outlook
    assert f"noise of norm {z / 4 * 30:.3g} times the bound" in found.outlook
    assert "hopeless" in found.outlook
    patients = one.replace(**{"privacy.mechanism": PATIENTS})
    of_patients = privacy_statement(patients, infos({"s0": 1000}, 50), asked, 900, False)
    assert of_patients.sentence.startswith("Against")
    assert "all training images of any one patient" in of_patients.sentence
    assert not any("one patient per image" in item for item in of_patients.not_covered)
    unnamed = privacy_statement(patients, infos({"s0": 50}, 50), asked, 900, False)
    assert any("several images at s0" in item for item in unnamed.not_covered)
    here = {site: replace(info, split_here=site == "s0") for site, info in infos({"s0": 400, "s1": 400}).items()}
    (line,) = split_warnings(one, here)
    assert line.startswith("privacy per record is for a fixed split, and at s0 the data name none")
    assert not split_warnings(one, infos({"s0": 400}))
    assert not split_warnings(one.replace(**{"privacy.mechanism": LOCAL}), here), "a whole site is hidden all the same"
    (said,) = [each for each in privacy_statement(one, here, asked, 900, True).not_covered if "the split of" in each]
    assert said.startswith("the split of s0:")
    assert not any("the split of" in item for item in unnamed.not_covered)
    assert privacy_statement(one, {}, asked, 900, True) is None
    assert spent(one, {}, asked) is None


def test_a_site_says_how_many_patients_it_has_where_they_are_asked_for():
    info = SiteInfo("s0", 5, 1, 1, (5, 0), 4)
    assert read_info(info_reply(info)) == info
    check_info(info, scenario())
    with pytest.raises(UpdateError, match="6 patients, but 5"):
        check_info(SiteInfo("s0", 5, 1, 1, (5, 0), 6), scenario())

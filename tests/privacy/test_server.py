"""The server's side: weights that are known beforehand, buffers left alone, scenarios that cannot be served.

Oracles: by hand, and the naive ways as foils.
"""

import numpy as np
import pytest
import torch

from medfed.config import Scenario, parse_scenario
from medfed.errors import ScenarioError
from medfed.messages import Delivery, SiteInfo
from medfed.models.initial import initial_model, initial_weights, trained_entries
from medfed.types import Update
from privacy.gaussian import noise_multiplier
from privacy.mechanisms.central import Central
from privacy.noise import seeded_normal
from robustness.aggregation import AGGREGATORS
from robustness.aggregation.contract import RobustAggregator
from server.collector import Collector
from server.federation import asked_sites
from server.private import PrivateSum, stated_weights
from server.releases import privacy_statement, releases, spent
from server.scenario_checks import check_federation
from server.spool import Spool
from server.strategies import STRATEGIES

SCENARIO = """
    name = "private"
    model = { name = "small_cnn", width = 1, norm = "NORM" }
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 28 }
    training = { rounds = 6, local_steps = 60, batch_size = 1, loss = "cross_entropy" }
    federation = { sites = ["s0", "s1", "s2", "s3"] }
"""
CENTRAL = {"name": "central", "clip": 1.0, "noise_multiplier": 2.0}
LOCAL = {"name": "local", "clip": 1.0, "noise_multiplier": 2.0}


def scenario(mechanism=CENTRAL, norm="group", **changes: object) -> Scenario:
    return parse_scenario(SCENARIO.replace("NORM", norm)).replace(**{"privacy.mechanism": mechanism, **changes})


def infos(counts: dict[str, int]) -> dict[str, SiteInfo]:
    return {site: SiteInfo(site, count, 1, 1, (count, 0)) for site, count in counts.items()}


def refusal(one: Scenario) -> str:
    with pytest.raises(ScenarioError) as found:
        check_federation(one, initial_model(one))
    assert len(str(found.value).splitlines()) == 1
    return str(found.value)


def test_counts_are_those_of_joining_not_those_of_the_update():
    one = scenario()
    found = stated_weights(one, infos({"s0": 10, "s1": 30, "s2": 5}))
    assert found == {"s0": 10.0, "s1": 30.0, "s2": 5.0}  # s3 never joined
    uniform = one.replace(**{"federation.strategy.weighting": "uniform"})
    assert set(stated_weights(uniform, infos({"s0": 10, "s1": 30})).values()) == {1.0}


def test_buffers_take_no_part_and_keep_their_values(tmp_path):
    """A naive mechanism noises ``num_batches_tracked``, and sends running statistics as they are."""
    one = scenario(norm="batch", **{"federation.batch_norm": "frozen"})
    weights, trained = initial_weights(one), trained_entries(one)
    mechanism = Central(clip=1.0, noise_multiplier=2.0)
    private = PrivateSum(mechanism, {"s0": 10.0, "s1": 20.0}, 2, {}, seeded_normal(1, "n"))
    collector = Collector(one, weights, Spool(tmp_path, durable=False), private)
    for site, count, steps in (("s0", 10, 5), ("s1", 20, 7)):
        tensors = {n: torch.full_like(v, 3 if v.is_floating_point() else steps) for n, v in weights.items()}
        update = Update(site, tensors, 1, steps, {"loss": 0.5})  # it says one image now, and weighs what it joined with
        collector.add(Delivery(update, 1.0, 1), num_train=count)
    aggregate, _ = collector.aggregate(4, {}, np.random.default_rng(0))
    buffers = weights.keys() - trained
    assert {name.rpartition(".")[2] for name in buffers} >= {"num_batches_tracked", "running_mean"}
    assert list(aggregate.tensors) == list(weights)
    for name, change in aggregate.tensors.items():
        assert change.dtype == weights[name].dtype
        assert bool(change.any()) == (name in trained), name
    moved, _ = one.federation.strategy(weights, aggregate, {})
    assert all(torch.equal(moved[name], weights[name]) for name in buffers)


@pytest.mark.parametrize("name", sorted(set(AGGREGATORS) - {"bucketing"}))
def test_central_noise_needs_a_rule_of_known_sensitivity(name):
    told = {"num_byzantine": 0} if name in ("krum", "multi_krum", "bulyan", "trimmed_mean") else {}
    told |= {"norm_clipped_mean": {"max_norm": 1.0}, "centred_clipping": {"radius": 1.0}}.get(name, {})
    one = scenario(**{"federation.aggregator": {"name": name, **told}})
    if isinstance(one.federation.aggregator, RobustAggregator):
        found = refusal(one)
        assert found.startswith('key "federation.aggregator"')
        assert f'or "local" with {name}' in found
    else:
        check_federation(one, initial_model(one))
    check_federation(one.replace(**{"privacy.mechanism": LOCAL}), initial_model(one))


@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - {"fedper"}))
def test_which_strategies_can_be_served(name):
    changes = {"federation.strategy": {"name": name}}
    central, local = scenario(**changes), scenario(LOCAL, **changes)
    if name in ("cyclic", "fednova", "scaffold"):
        assert "fedadam, fedavg, fedavgm" in refusal(central)
    else:
        check_federation(central, initial_model(central))
    if name == "scaffold":
        assert "second release" in refusal(local)
    else:
        check_federation(local, initial_model(local))


@pytest.mark.parametrize("mechanism", [CENTRAL, LOCAL])
def test_what_would_tell_of_data_without_noise_is_refused(mechanism):
    averaged = scenario(mechanism, norm="batch", **{"federation.batch_norm": "average"})
    assert 'norm = "group"' in refusal(averaged)
    for policy in ("local", "frozen"):
        kept = averaged.replace(**{"federation.batch_norm": policy})
        check_federation(kept, initial_model(kept))
    assert "choose a round by scores" in refusal(scenario(mechanism, **{"evaluation.patience": 2}))
    assert "choose a round by scores" in refusal(scenario(mechanism, **{"evaluation.keep": "best"}))
    assert "less than 1 / number of sites = 0.25" in refusal(scenario(mechanism, **{"privacy.delta": 0.25}))


@pytest.mark.parametrize("wrong", [{"clip": 0.0}, {"clip": -1.0}, {"noise_multiplier": 1e-30}, {"no_such": 1}])
def test_numbers_out_of_range_are_refused_with_the_key(wrong):
    with pytest.raises(ScenarioError, match=rf"privacy\.mechanism.*{next(iter(wrong))}"):
        scenario(CENTRAL | wrong)


def test_the_outlook_of_local_noise_knows_unequal_sites():
    """One site of 10,000 images beside three of 100: its noise is nearly all of the mean's."""
    one = scenario(LOCAL, **{"federation.strategy.weighting": "examples"})
    counts = dict(zip(one.training_sites, [10_000, 100, 100, 100], strict=True))
    found = privacy_statement(one, infos(counts), asked_sites(one, 1), 900, True)
    share = (10_000**2 + 3 * 100**2) ** 0.5 / 10_300
    assert f"norm {noise_multiplier(8.0, 1e-5, 1) * share * 30:.3g} times" in found.outlook


def test_a_scenario_and_back_and_nothing_written_where_there_is_none():
    one = scenario({"name": "central_adaptive", "clip": 1.0, "noise_multiplier": 2.0}, **{"privacy.delta": 1e-6})
    assert parse_scenario(one.to_toml()) == one
    none = parse_scenario(SCENARIO.replace("NORM", "group"))
    assert "privacy" not in none.to_toml()
    assert parse_scenario(none.to_toml()) == none
    assert not none.privacy.is_on


def test_a_site_releases_in_the_rounds_in_which_it_is_asked():
    """Nothing is gained by sampling, since who is asked is known; but who is not asked releases nothing."""
    all_asked, half_asked = scenario(), scenario(**{"federation.sites_per_round": 2})
    known = infos(dict.fromkeys(all_asked.training_sites, 10))
    assert len(releases(all_asked, known, asked_sites(all_asked, 6))) == 6
    asked = asked_sites(half_asked, 6)
    most = max(sum(site in sites for _, sites in asked) for site in known)
    found = releases(half_asked, known, asked)
    assert len(found) == most < 6
    assert {release.sensitivity for release in found} == {0.5}
    assert spent(half_asked, known, asked) < spent(all_asked, known, asked_sites(all_asked, 6))
    none = parse_scenario(SCENARIO.replace("NORM", "group"))
    assert spent(none, known, asked) is None
    assert privacy_statement(none, known, asked, 10, True) is None


def test_nobody_joined_and_no_round_was_run():
    one = scenario()
    assert privacy_statement(one, {}, [], 10, True) is None
    assert privacy_statement(one, {}, asked_sites(one, 1), 10, True).guarantees[0].releases == 1

"""What stays at the sites, and what the summary says about it. Oracles: names by hand, of the architectures."""

import pytest
from torch import nn

from medfed.errors import ScenarioError
from medfed.models.initial import initial_model
from medfed.results import RoundResult, SiteRound
from server.strategies.fedbn import FedBN
from server.strategies.fedper import FedPer
from server.strategies.personal import personal_warnings
from tests.medfed.trial import BASE


def _model(**changes):
    return initial_model(BASE.replace(**changes))


@pytest.mark.parametrize("norm", ["group", "batch", "instance"])
def test_fedbn_keeps_normalization_and_nothing_else(norm):
    model = _model(**{"model.norm": norm})
    shared = set(model.state_dict()) - FedBN().personal(model)
    convolutions = {name for name, value in model.state_dict().items() if value.dim() == 4}
    assert shared == convolutions | {"head.3.weight", "head.3.bias"}


def test_fedbn_wants_normalization_layers():
    with pytest.raises(ScenarioError, match=r'"federation.strategy": fedbn .* has none'):
        FedBN().personal(nn.Linear(2, 2))


def test_fedper_keeps_the_head():
    assert FedPer().personal(_model()) == {"head.3.weight", "head.3.bias"}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (("tail.*",), r"no entry of the model matches \['tail.\*'\]; .*begin with: features, head"),
        (("head.*", "Head.*"), r"no entry of the model matches \['Head.\*'\]"),
        (("*",), "match every parameter, so that nothing is shared"),
        (("head.*", "features.*"), "match every parameter"),
    ],
)
def test_fedper_refuses_patterns_that_keep_nothing_or_everything(layers, message):
    with pytest.raises(ScenarioError, match=message):
        FedPer(layers=layers).personal(_model())


def _round(number, score, **steps):
    sites = {site: SiteRound(num_steps=count, val={"auroc": score}) for site, count in steps.items()}
    return RoundResult(round=number, seconds=0.0, bytes_up=0, bytes_down=0, sites=sites, failed=[])


def test_nothing_is_said_where_the_whole_model_is_shared():
    assert personal_warnings(BASE, frozenset(), [_round(1, 0.5, a=3)]) == []


def test_a_site_that_never_trained_is_named():
    scenario = BASE.replace(**{"federation.sites": ("a", "b", "c"), "federation.leave_out": ("c",)})
    lines = personal_warnings(scenario, frozenset({"x", "y"}), [_round(1, 0.5, a=3, c=0), _round(2, 0.5, b=3)])
    assert len(lines) == 2
    assert lines[0].startswith("2 entries of the model stay at the sites: model.safetensors holds their initial values")
    assert lines[1] == "site c never trained: it was tested with those 2 entries at initial values"


@pytest.mark.parametrize(("scores", "says"), [((0.7, 0.6), True), ((0.6, 0.7), False)])
def test_the_best_round_and_what_the_sites_keep_may_be_of_different_rounds(scores, says):
    scenario = BASE.replace(**{"evaluation.keep": "best", "federation.sites": ("a",)})
    rounds = [_round(number, score, a=3) for number, score in enumerate(scores, start=1)]
    found = [line for line in personal_warnings(scenario, frozenset({"x"}), rounds) if "are of round 1" in line]
    assert bool(found) is says

"""What a site refuses. Oracles: an imprint layer, which must read images off the update exactly where nothing is
refused; weights and batches made by hand; honest networks, of which none may be refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client import app as client_app
from client import refusals
from client.refusals import copied_rows, require_allowed
from client.site import site_data
from medfed import messages
from medfed.config import Scenario, parse_scenario
from medfed.data.location import resolve_path
from medfed.errors import RefusedError, SiteError
from medfed.models.initial import initial_weights
from medfed.site_fault import read
from medfed.types import Weights
from privacy.leakage.recorded import Recorded
from privacy.leakage.truth import truth_of
from privacy.measures.images import psnr
from privacy.measures.matching import nearest_images
from tests.client.imprint import read_off, trap
from tests.simulations.conftest import TINY

CHANGES: dict[str, Any] = {
    "model": {"name": "tests.client.imprint:Imprinted"},
    "training.local_steps": 1,
    "training.batch_size": 8,
    "training.transforms": (),
    "training.optimizer": {"name": "sgd", "lr": 0.1},
}


def scenario_of(**changes: Any) -> Scenario:
    return parse_scenario(TINY).replace(**CHANGES | changes)


def context_of(tmp_path: Path, **policy: Any) -> Context:
    """A hospital's own node."""
    data = str(resolve_path(scenario_of().data.path))
    return Context(1, 2, {"site": "site-01", "data": data, "home": str(tmp_path), **policy}, RecordDict(), {})


def asked(scenario: Scenario, weights: Weights) -> Message:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1  # as the engine's workers do
    content = messages.request(scenario.to_toml(), "run", 1, messages.pack_weights(weights))
    return Message(content, 2, MessageType.TRAIN)


def trapped(context: Context, scenario: Scenario) -> Weights:
    """By images that the site never trains on."""
    data = site_data(context, scenario)
    return trap(initial_weights(scenario), data.test.batch(torch.arange(len(data.test)).numpy())[0])


def test_where_nothing_is_refused_the_imprint_reads_images_exactly(tmp_path: Path) -> None:
    scenario, context = scenario_of(), context_of(tmp_path, **{"refuse-copied-rows": False})
    weights = trapped(context, scenario)
    reply = client_app.train_reply(asked(scenario, weights), context)
    change = messages.read_update("site-01", reply.content).update.tensors
    data = site_data(context, scenario)
    truth = truth_of(scenario, Recorded("site-01", 1, weights, change, len(data.train), 1), data).images
    found = read_off(change, tuple(truth.shape[1:])).clamp(0.0, 1.0)
    exact = psnr(found[nearest_images(found, truth)], truth) > 50.0
    assert len(truth) == 8
    assert int(exact.sum()) >= 4


def test_a_site_refuses_the_imprint_before_training_and_says_why_to_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A hospital that configured nothing."""

    def trains(*_: Any) -> None:
        raise AssertionError("the site trained")

    scenario, context = scenario_of(), context_of(tmp_path)
    weights = trapped(context, scenario)
    monkeypatch.setattr(client_app, "local_round", trains)
    with pytest.raises(SiteError) as error:
        client_app.train_reply(asked(scenario, weights), context)
    fault = read(str(error.value))
    assert fault is not None
    assert (fault.code, fault.kind) == ("refused", "RefusedError")
    assert "\n" not in str(error.value)
    assert "rows" not in str(error.value)
    assert '200 rows of the weights "1.weight" are copies' in caplog.text


@pytest.mark.parametrize(("simulated", "refused"), [(False, True), (True, False)])
def test_a_simulation_refuses_nothing_by_itself(tmp_path: Path, simulated: bool, refused: bool) -> None:
    scenario = scenario_of(**{"training.batch_size": 1})
    context = context_of(tmp_path, simulated=simulated)
    request = messages.Request(scenario, "run", 1, initial_weights(scenario))
    data = site_data(context, scenario)
    if refused:
        with pytest.raises(RefusedError, match=r"expected 2 images or more in every step .*, got 1;.*batch_size"):
            require_allowed(request, context, data)
    else:
        require_allowed(request, context, data)


def test_a_batch_of_one_class_is_refused_where_the_site_says_so(tmp_path: Path) -> None:
    """Of batches of four, of which three images in four are of one class, one of ten steps is of one class."""
    scenario = scenario_of(**{"training.batch_size": 4, "training.local_steps": 10})
    request = messages.Request(scenario, "run", 1, initial_weights(scenario))
    require_allowed(request, context_of(tmp_path), site_data(context_of(tmp_path), scenario))
    context = context_of(tmp_path, **{"least-classes": 2})
    with pytest.raises(RefusedError, match=r"expected 2 classes or more in every step .*, got 1;"):
        require_allowed(request, context, site_data(context, scenario))


def test_steps_that_are_drawn_in_secret_are_not_looked_at(tmp_path: Path) -> None:
    private = {"name": "dp_sgd", "clip": 1.0, "noise_multiplier": 1.0}
    scenario = scenario_of(**{"training.batch_size": 1, "privacy.mechanism": private})
    request = messages.Request(scenario, "run", 1, initial_weights(scenario))
    require_allowed(request, context_of(tmp_path), site_data(context_of(tmp_path), scenario))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"refuse-copied-rows": "yes"}, "refuse-copied-rows: expected true or false, got 'yes'"),
        ({"least-batch": 0}, "least-batch: expected a whole number of 1 or more, got 0"),
        ({"least-classes": True}, "least-classes: expected a whole number of 1 or more, got True"),
    ],
)
def test_a_policy_that_is_none_is_one_line(tmp_path: Path, policy: dict[str, Any], message: str) -> None:
    scenario, context = scenario_of(), context_of(tmp_path, **policy)
    request = messages.Request(scenario, "run", 1, initial_weights(scenario))
    with pytest.raises(SiteError, match=message):
        require_allowed(request, context, site_data(context, scenario))


@pytest.mark.parametrize(
    "model", [{"name": "small_cnn"}, {"name": "small_cnn", "norm": "batch"}, {"name": "resnet18", "width": 16}]
)
def test_honest_weights_have_no_copies(model: dict[str, Any]) -> None:
    policy = {"federation.batch_norm": "average"}
    assert copied_rows(initial_weights(parse_scenario(TINY).replace(model=model, **policy))) is None


def test_copies_by_hand() -> None:
    rows = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    assert copied_rows({"a": rows}) is None
    rows[4] = -3.0 * rows[1]
    rows[5] = 2.0 * rows[1]
    assert copied_rows({"b": torch.eye(9), "a": rows.reshape(6, 1, 3, 3)}) == ("a", 2, 6)
    assert copied_rows({"a": torch.zeros(6, 9)}) is None
    assert copied_rows({"a": torch.ones(6, 7), "b": torch.ones(9)}) is None
    assert copied_rows({"a": torch.ones(6, 9, dtype=torch.int64)}) is None


@pytest.mark.parametrize("at_once", [1, 3, 7, 1024])
def test_rows_are_compared_with_all_before_them_however_many_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: rows 4 and 6 repeat rows 0 and 1, longer or turned round."""
    monkeypatch.setattr(refusals, "_AT_ONCE", at_once)
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((7, 9))).float()
    rows[4], rows[6] = 3.0 * rows[0], -rows[1]
    assert refusals._copies(rows).tolist() == [0, 0, 0, 0, 1, 0, 1]

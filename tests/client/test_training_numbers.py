"""What a site says of its training images. Oracle: the metrics of the reply, by mechanism."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import Context, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client import app as client_app
from client.local import local_round
from client.private import private_trainer
from client.site import site_data
from medfed import messages
from medfed.config import Scenario, parse_scenario
from medfed.data.location import resolve_path
from medfed.errors import SiteError
from medfed.models.initial import initial_weights
from medfed.types import ImageSet
from tests.simulations.conftest import FEW

NOISE = {"clip": 0.5, "noise_multiplier": 1.0}
QUICK = {"model.width": 2, "training.local_steps": 1, "training.batch_size": 4}


def scenario_of(mechanism: dict[str, Any] | None) -> Scenario:
    return parse_scenario(FEW).replace(**QUICK | ({"privacy.mechanism": mechanism} if mechanism else {}))


def context_of(scenario: Scenario, folder: Path) -> Context:
    config = {"site": "site-01", "data": str(resolve_path(scenario.data.path)), "home": str(folder)}
    return Context(1, 2, config, RecordDict(), {})


@pytest.mark.parametrize(
    ("name", "told"), [("", True), ("central", True), ("dp_sgd", False), ("local", False), ("distributed", False)]
)
def test_the_training_loss_leaves_only_where_the_site_adds_no_noise(name: str, told: bool, tmp_path: Path) -> None:
    scenario = scenario_of({"name": name, **NOISE} if name not in ("", "distributed") else None)
    if name == "distributed":
        scenario = scenario.replace(
            **{
                "privacy.mechanism": {"name": name, **NOISE},
                "federation.secure_aggregation": {"name": "secagg_plus"},
                "federation.strategy.weighting": "uniform",
            }
        )
    context = context_of(scenario, tmp_path)
    request = messages.Request(scenario, "run", 1, initial_weights(scenario))
    data = site_data(context, scenario)
    update, _ = local_round(request, data, {}, private_trainer(request, context))
    content = messages.update_reply(update, 1.0)
    assert ("loss" in messages.read_update("site-01", content, with_loss=False).update.metrics) == told


def test_no_score_of_training_images_leaves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scenario = scenario_of(None)
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1  # as the engine's workers do
    packed = messages.pack_weights(initial_weights(scenario))
    content = messages.request(scenario.to_toml(), "run", 1, packed, "train", True)
    with pytest.raises(SiteError, match="RefusedError") as error:
        client_app.evaluate(Message(content, 2, MessageType.EVALUATE), context_of(scenario, tmp_path))
    assert "\n" not in str(error.value)
    assert 'expected split "val" or "test", got "train"' in caplog.text


def test_an_image_without_a_finite_loss_ends_no_private_round(tmp_path: Path) -> None:
    """Naive: the round is given up where the mean loss is no number, which tells of the one image."""
    scenario = scenario_of({"name": "dp_sgd", **NOISE}).replace(**{"training.batch_size": 1000})
    context = context_of(scenario, tmp_path)
    data = site_data(context, scenario)

    class Broken(ImageSet):
        def batch(self, positions: Any) -> Any:
            inputs, targets = super().batch(positions)
            return inputs.masked_fill((torch.as_tensor(positions) == 9)[:, None, None, None], float("inf")), targets

    broken = Broken(**{name: getattr(data.train, name) for name in data.train.__dataclass_fields__})
    request = messages.Request(scenario, "run", 1, initial_weights(scenario))
    trainer = private_trainer(request, context)
    update, _ = local_round(request, replace(data, train=broken), {}, trainer)
    assert all(bool(value.isfinite().all()) for value in update.tensors.values())

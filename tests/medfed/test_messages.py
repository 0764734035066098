"""The codec. Oracles: inverse (read after write), numpy's own bytes, planted malformations."""

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict

from medfed import messages, payload
from medfed.config import parse_scenario
from medfed.errors import UpdateError
from medfed.messages import SiteInfo
from medfed.results import Estimate, Evaluation
from medfed.types import Update

SCENARIO = """
    name = "wire"
    model = "small_cnn"
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 28 }
    training = { rounds = 1, local_steps = 1, batch_size = 1, loss = "cross_entropy" }
"""


EMPTY = messages.update_reply(Update("a", {}, 1, 1, {"loss": 0.0}), 0.0).array_records["update"]


def test_weights_and_extras_survive_the_wire() -> None:
    scenario = parse_scenario(SCENARIO)
    weights = {"x": torch.tensor([[1.0, -2.5]]), "n": torch.tensor(3)}
    packed = messages.pack_weights(weights, {"control": {"x": torch.tensor([[0.5, 0.0]])}})
    request = messages.read_request(messages.request(scenario.to_toml(), "run-1", 4, packed, "val"))
    assert (request.scenario, request.run, request.round, request.split) == (scenario, "run-1", 4, "val")
    assert {name: value.tolist() for name, value in request.weights.items()} == {"x": [[1.0, -2.5]], "n": 3}
    assert request.extras["control"]["x"].tolist() == [[0.5, 0.0]]


def test_a_message_without_a_copy_shares_the_bytes_of_the_sender() -> None:
    """In one process or over shared memory nothing is copied: what the sender writes, the reader sees."""
    packed = messages.pack_weights({"x": torch.zeros(2)})
    request = messages.read_request(messages.request(SCENARIO, "r", 1, packed))
    packed["weights"].data[-8:] = np.array([1.0, 2.0], "<f4").tobytes()
    assert request.weights["x"].tolist() == [1.0, 2.0]


def test_another_serialization_is_refused() -> None:
    record = ArrayRecord({"weights": Array(np.zeros(2, np.float32))})
    with pytest.raises(UpdateError, match=r"expected safetensors, got numpy\.ndarray"):
        messages.read_request(messages.request(SCENARIO, "r", 1, record))


def test_update_round_trip() -> None:
    update = Update("a", {"x": torch.ones(2)}, 7, 3, {"loss": 0.25}, {"control": {"x": torch.zeros(2)}})
    delivery = messages.read_update("a", messages.update_reply(update, 1.5))
    back = delivery.update
    assert (back.site, back.num_examples, back.num_steps, back.metrics) == ("a", 7, 3, {"loss": 0.25})
    assert torch.equal(back.tensors["x"], update.tensors["x"])
    assert torch.equal(back.extras["control"]["x"], update.extras["control"]["x"])
    assert delivery.seconds == 1.5
    assert delivery.num_bytes == len(payload.pack(update.tensors)) + len(payload.pack(update.extras["control"]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (RecordDict(), 'expected ArrayRecord "update"'),
        (
            RecordDict({"update": EMPTY, "metrics": MetricRecord({"num-examples": 1})}),
            "lacks num-steps, seconds",
        ),
        (
            RecordDict(
                {
                    "update": EMPTY,
                    "metrics": MetricRecord(
                        {"num-examples": float("inf"), "num-steps": 1, "seconds": 0, "metric.loss": 1.0}
                    ),
                }
            ),
            "counts must be finite",
        ),
    ],
)
def test_incomplete_updates_are_refused(content: RecordDict, said: str) -> None:
    with pytest.raises(UpdateError, match=said):
        messages.read_update("a", content)


def test_evaluation_round_trip_keeps_undefined_values_and_odd_class_names() -> None:
    known = Estimate(value=0.5, low=0.25, high=0.75, n=9, se=0.1)
    undefined = Estimate(value=None, low=None, high=None, n=9)
    evaluation = Evaluation(
        metrics={"dice": known, "auroc": undefined}, per_class={"a/b <c>": {"dice": known}}, num_images=12
    )
    assert messages.read_evaluation("a", messages.evaluation_reply(evaluation)) == evaluation


@pytest.mark.parametrize("split_here", [False, True])
def test_introduction_round_trip(split_here: bool) -> None:
    info = SiteInfo("Klinik Süd", 5, 2, 3, (4, 1), 4, split_here)
    assert messages.read_info(messages.info_reply(info)) == info


@pytest.mark.parametrize("loss", [{}, {"metric.loss": float("nan")}])
def test_an_update_needs_a_finite_loss(loss: dict[str, float]) -> None:
    numbers = {"num-examples": 1, "num-steps": 1, "seconds": 0.0} | loss
    with pytest.raises(UpdateError, match="finite loss"):
        messages.read_update("a", RecordDict({"update": EMPTY, "metrics": MetricRecord(numbers)}))


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"metrics": MetricRecord({"value/dice/": 0.5, "n/dice/": 3})}),
        RecordDict({"metrics": MetricRecord({"num-images": 3, "value/dice/": float("nan"), "n/dice/": 3})}),
        RecordDict({"metrics": MetricRecord({"num-images": 3, "value/dice/": 0.5})}),
    ],
)
def test_malformed_metrics_are_refused(content: RecordDict) -> None:
    with pytest.raises(UpdateError, match="site a: its metrics are malformed"):
        messages.read_evaluation("a", content)


def test_a_malformed_introduction_is_refused() -> None:
    with pytest.raises(UpdateError, match="malformed"):
        messages.read_info(RecordDict())

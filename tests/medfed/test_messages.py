"""The codec. Oracles: inverse (read after write), numpy's own bytes, planted malformations."""

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from medfed import messages
from medfed.errors import UpdateError
from medfed.messages import SiteInfo
from medfed.results import Estimate, Evaluation
from medfed.types import Update

DTYPES = st.sampled_from(
    [torch.float16, torch.float32, torch.float64, torch.int32, torch.int64, torch.uint8, torch.bool]
)


@given(st.lists(st.integers(0, 4), max_size=3), DTYPES, st.integers(0, 99))
def test_weights_survive_the_wire(shape: list[int], dtype: torch.dtype, seed: int) -> None:
    value = (torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 10).to(dtype)
    back = messages.unpack_weights(messages.pack_weights({"x": value}))["x"]
    assert back.dtype == value.dtype
    assert back.shape == value.shape
    assert torch.equal(back, value)


def test_bytes_on_the_wire_are_the_values_alone() -> None:
    array = messages.pack_weights({"x": torch.tensor([[1.0, -2.5]])})["x"]
    assert array.data == np.array([1.0, -2.5], dtype="<f4").tobytes()
    assert array.shape == (1, 2)


def test_unpacked_tensors_can_be_changed() -> None:
    back = messages.unpack_weights(messages.pack_weights({"x": torch.zeros(2)}))
    back["x"][0] = 1.0  # a view of the message's bytes would be read-only
    assert back["x"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (Array("float32", (3,), "medfed.raw", b"\0" * 8), "expected 12 bytes, got 8"),
        (Array("float32", (2,), "numpy.ndarray", b"\0" * 8), "got numpy.ndarray float32"),
        (Array("object", (1,), "medfed.raw", b"\0" * 8), "got medfed.raw object"),
        (Array("float32", (-1, -2), "medfed.raw", b"\0" * 8), "expected 8 bytes"),
    ],
)
def test_malformed_arrays_are_refused(array: Array, said: str) -> None:
    with pytest.raises(UpdateError, match=said):
        messages.unpack_weights(ArrayRecord({"x": array}))


def test_update_round_trip() -> None:
    update = Update("a", {"x": torch.ones(2)}, 7, 3, {"loss": 0.25})
    back, seconds = messages.read_update("a", messages.update_reply(update, 1.5))
    assert (back.site, back.num_examples, back.num_steps, back.metrics, seconds) == ("a", 7, 3, {"loss": 0.25}, 1.5)
    assert torch.equal(back.tensors["x"], update.tensors["x"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (RecordDict(), "must hold update and metrics"),
        (
            RecordDict({"update": ArrayRecord(), "metrics": MetricRecord({"num-examples": 1})}),
            "lacks num-steps, seconds",
        ),
        (
            RecordDict(
                {
                    "update": ArrayRecord(),
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


def test_introduction_round_trip() -> None:
    info = SiteInfo("Klinik Süd", 5, 2, 3, (4, 1))
    assert messages.read_info(messages.info_reply(info)) == info


@pytest.mark.parametrize("loss", [{}, {"metric.loss": float("nan")}])
def test_an_update_needs_a_finite_loss(loss: dict[str, float]) -> None:
    numbers = {"num-examples": 1, "num-steps": 1, "seconds": 0.0} | loss
    with pytest.raises(UpdateError, match="finite loss"):
        messages.read_update("a", RecordDict({"update": ArrayRecord(), "metrics": MetricRecord(numbers)}))


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

"""Top-k with error feedback. Oracles: numpy's stable sort, by hand, limits, the sum over rounds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medfed.compression.top_k import INDICES, VALUES, TopK, largest
from medfed.errors import UpdateError
from medfed.params import num_bytes
from medfed.types import Weights

NOISE = np.random.default_rng(0)
UPDATE = {"b": torch.tensor([[1.0, -4.0], [0.0, 2.0]]), "a": torch.tensor([3.0, -0.5])}
# The vector of all values, tensors in the order of sorted names: 3, -0.5, 1, -4, 0, 2.


def test_by_hand():
    method = TopK(share=0.5)
    wire, left = method.compress(UPDATE, {}, NOISE)
    assert wire[INDICES].tolist() == [0, 3, 5]
    assert wire[VALUES].tolist() == [3.0, -4.0, 2.0]
    back = method.decompress(wire, UPDATE)
    assert back["b"].tolist() == [[0.0, -4.0], [0.0, 2.0]]
    assert back["a"].tolist() == [3.0, 0.0]
    assert left["b"].tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert left["a"].tolist() == [0.0, -0.5]
    again, _ = method.compress(UPDATE, {"b": torch.full((2, 2), 1.5), "a": torch.tensor([-3.0, 0.0])}, NOISE)
    assert again[INDICES].tolist() == [2, 3, 5]  # 0, -0.5, 2.5, -2.5, 1.5, 3.5
    assert again[VALUES].tolist() == [2.5, -2.5, 3.5]


@given(values=st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]), min_size=1, max_size=30), data=st.data())
def test_chooses_as_a_stable_sort_does(values, data):
    count = data.draw(st.integers(1, len(values)))
    vector = np.array(values, np.float32)
    expected = np.sort(np.argsort(-np.abs(vector), kind="stable")[:count])
    assert largest(torch.from_numpy(vector), count).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("share", "num_values", "count"), [(0.01, 1000, 10), (0.07, 100, 7), (0.01, 5, 1), (1.0, 5, 5), (0.5, 0, 0)]
)
def test_how_many_travel(share, num_values, count):
    assert TopK(share=share).count(num_values) == count  # by hand


def test_a_share_of_one_is_no_compression():
    wire, left = TopK(share=1.0).compress(UPDATE, {}, NOISE)
    back = TopK(share=1.0).decompress(wire, UPDATE)
    assert all(torch.equal(back[name], value) for name, value in UPDATE.items())
    assert not any(value.any() for value in left.values())


def test_over_rounds_all_but_the_last_residual_is_delivered():
    """Law: the sum of what was delivered and the last residual is the sum of the updates; whole numbers, so exactly."""
    method, draws = TopK(share=0.1), np.random.default_rng(4)
    like = {"a": torch.zeros(30), "b": torch.zeros(4, 5)}
    sent, delivered = (dict(like) for _ in range(2))
    residual: Weights = {}
    for _ in range(40):
        update = {name: torch.from_numpy(draws.integers(-9, 10, value.shape)).float() for name, value in like.items()}
        wire, residual = method.compress(update, residual, NOISE)
        back = method.decompress(wire, update)
        sent = {name: sent[name] + update[name] for name in like}
        delivered = {name: delivered[name] + back[name] for name in like}
    for name in like:
        assert torch.equal(delivered[name] + residual[name], sent[name])


def test_with_feedback_a_constant_update_is_delivered_at_its_rate():
    """Limit: a value c that comes every round is delivered at c per round on average, however small its share."""
    method = TopK(share=0.25)
    update = {"a": torch.tensor([8.0, 4.0, 2.0, 1.0])}
    residual: Weights = {}
    total = torch.zeros(4)
    rounds = 400
    for _ in range(rounds):
        wire, residual = method.compress(update, residual, NOISE)
        total += method.decompress(wire, update)["a"]
    assert torch.allclose(total / rounds, update["a"], atol=float(residual["a"].max()) / rounds)
    assert residual["a"].max() <= 4 * 8.0  # one travels per round: none waits until it is larger than all together


def test_doubles_travel_as_doubles():
    update = {"a": torch.tensor([1.0 + 2.0**-40, 0.0], dtype=torch.float64), "b": torch.ones(1)}
    wire, _ = TopK(share=0.34).compress(update, {}, NOISE)
    assert wire[VALUES].tolist() == [1.0 + 2.0**-40]


def test_what_a_half_cannot_hold_waits():
    update = {"a": torch.tensor([60000.0, 1.0], dtype=torch.float16)}
    residual = {"a": torch.tensor([10000.0, 0.0])}
    wire, left = TopK(share=0.5).compress(update, residual, NOISE)
    assert TopK(share=0.5).decompress(wire, update)["a"].tolist() == [65504.0, 0.0]
    assert left["a"].tolist() == [70000.0 - 65504.0, 1.0]  # by hand


@pytest.mark.parametrize(
    "indices", [[0, 3, 6], [-1, 3, 5], [0, 3, 3], [3, 0, 5], [0, 5, 3], [2**31 - 1, 3, 5], [0, -5, 5], [0, 9, 5]]
)
def test_indices_out_of_range_repeated_or_out_of_order_are_refused(indices):
    method = TopK(share=0.5)
    wire, _ = method.compress(UPDATE, {}, NOISE)
    wire[INDICES] = torch.tensor(indices, dtype=torch.int32)
    with pytest.raises(UpdateError, match=r'tensor "#indices": expected rising indices from 0 to 5, each once; got'):
        method.decompress(wire, UPDATE)


def test_more_values_than_the_share_are_refused():
    wire, _ = TopK(share=1.0).compress(UPDATE, {}, NOISE)
    with pytest.raises(UpdateError, match=r'tensor "#values": expected \(3,\) float32, got \(6,\) float32'):
        TopK(share=0.5).decompress(wire, UPDATE)


def test_a_residual_of_another_model_is_refused():
    with pytest.raises(ValueError, match="residual is of another model"):
        TopK().compress(UPDATE, {"a": torch.zeros(2)}, NOISE)


def test_a_model_beyond_int32_is_refused():
    endless = {"a": torch.zeros(1).expand(2**31)}  # takes four bytes
    with pytest.raises(ValueError, match="top_k can index 2147483647 values, the update has 2147483648; use int8"):
        TopK().compress(endless, {}, NOISE)


@pytest.mark.parametrize("share", [0.0, 1.1, -0.5])
def test_a_share_is_above_0_and_at_most_1(share):
    with pytest.raises(ValueError, match="share"):
        TopK(share=share)


def test_bytes():
    update = {"a": torch.ones(900), "b": torch.ones(100)}
    wire, _ = TopK(share=0.01).compress(update, {}, NOISE)
    assert num_bytes(wire) == 10 * (4 + 4)  # a value and an index each: 1 / (2 share) of 4000

"""What every aggregator must keep; a new line in AGGREGATORS is picked up by itself.

Oracles: the two Protocols, and laws: unanimity, order of the sites, scale, width of the chunks, one site far out.
"""

import numpy as np
import pytest
import torch

from medfed.errors import QuorumError
from robustness.aggregation import AGGREGATORS
from robustness.aggregation.contract import RobustAggregator, Rows, StreamingAggregator
from tests.robustness.aggregation.rows import BufferedRows, apply, apply_to, normal

PASSES_ONE_ATTACKER = {"foolsgold"}  # it looks for copies, and one attacker has none
NUM_SITES, NUM_VALUES = 11, 40


def _build(name: str, length: float = 1.0, **fields):
    """A rule for one byzantine update; ``length`` is the unit of fields that are lengths."""
    given = {"num_byzantine": 1, "max_norm": length, "radius": length, "smoothing": 1e-6 * length, **fields}
    cls = AGGREGATORS[name]
    return cls(**{key: value for key, value in given.items() if key in cls.__pydantic_fields__})


STREAMING = [name for name in AGGREGATORS if isinstance(_build(name), StreamingAggregator)]
ROBUST = [name for name in AGGREGATORS if isinstance(_build(name), RobustAggregator)]
every_streaming = pytest.mark.parametrize("name", STREAMING)
every_robust = pytest.mark.parametrize("name", ROBUST)


def test_every_aggregator_is_of_one_family():
    assert sorted(STREAMING + ROBUST) == sorted(AGGREGATORS)


def test_rows_of_these_tests_keep_the_protocol():
    assert isinstance(BufferedRows(normal(2, 3)), Rows)


@every_streaming
def test_a_factor_is_between_0_and_1_and_writes_to_nothing(name):
    for scale in (0.0, 1e-3, 1.0, 1e6):
        tensors = {"w": scale * normal(3, 4), "count": torch.tensor(7)}
        kept = tensors["w"].clone()
        assert 0.0 <= _build(name).factor(tensors) <= 1.0
        assert torch.equal(tensors["w"], kept)


@every_robust
def test_gives_one_float32_value_per_column_and_a_state_of_tensors(name):
    out, state = apply_to(_build(name), BufferedRows(normal(NUM_SITES, NUM_VALUES)))
    assert (out.shape, out.dtype) == ((NUM_VALUES,), torch.float32)
    assert out.isfinite().all()
    assert all(isinstance(value, torch.Tensor) for value in state.values())


@every_robust
def test_what_all_sites_say_is_the_aggregate(name):
    row = normal(1, NUM_VALUES)
    torch.testing.assert_close(apply(_build(name, length=1e3), row.expand(NUM_SITES, -1)), row[0])


@every_robust
@pytest.mark.parametrize("scale", [1e-3, 30.0])
def test_scaled_updates_give_a_scaled_aggregate(name, scale):
    matrix = normal(NUM_SITES, NUM_VALUES)
    scaled = apply(_build(name, length=scale), scale * matrix)
    torch.testing.assert_close(scaled, scale * apply(_build(name), matrix), rtol=1e-4, atol=1e-6 * scale)


@every_robust
def test_the_order_of_the_sites_does_not_matter(name):
    rule, matrix = _build(name, size=1), normal(NUM_SITES, NUM_VALUES)
    order = torch.randperm(NUM_SITES, generator=torch.Generator().manual_seed(2)).tolist()
    rows = BufferedRows(matrix)
    moved = BufferedRows(matrix[order], sites=tuple(rows.sites[index] for index in order))
    (one, state), (other, same) = apply_to(rule, rows), apply_to(rule, moved)
    (one, _), (other, _) = apply_to(rule, rows, state), apply_to(rule, moved, same)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@every_robust
def test_the_width_of_the_chunks_does_not_matter(name):
    matrix = normal(NUM_SITES, NUM_VALUES)
    narrow, whole = apply(_build(name), matrix, width=3), apply(_build(name), matrix, width=NUM_VALUES)
    torch.testing.assert_close(narrow, whole, rtol=1e-5, atol=1e-6)


@every_robust
def test_the_generator_decides_all_that_is_drawn(name):
    matrix = normal(NUM_SITES, NUM_VALUES)
    torch.manual_seed(0)
    one = apply(_build(name), matrix, seed=5)
    torch.manual_seed(1)
    assert torch.equal(apply(_build(name), matrix, seed=5), one)


@every_robust
def test_writes_to_no_argument(name):
    rule, rows, weights = _build(name), BufferedRows(normal(NUM_SITES, NUM_VALUES), NUM_VALUES), torch.ones(NUM_SITES)
    _, state = apply_to(rule, rows)
    kept, matrix = {key: value.clone() for key, value in state.items()}, rows.matrix.clone()
    rule(rows, weights, state, np.random.default_rng(0))
    assert torch.equal(rows.matrix, matrix)
    assert torch.equal(weights, torch.ones(NUM_SITES))
    assert all(torch.equal(state[key], value) for key, value in kept.items())
    assert state.keys() == kept.keys()


@every_robust
def test_weights_of_sites_are_not_trusted(name):
    rule, rows = _build(name), BufferedRows(normal(NUM_SITES, NUM_VALUES))
    trusting, _ = rule(rows, torch.arange(1.0, NUM_SITES + 1.0), {}, np.random.default_rng(0))
    assert torch.equal(trusting, apply(rule, rows.matrix))


@every_robust
def test_one_site_far_out_does_not_carry_it_away(name):
    """The aggregate stays within the longest honest update of the origin, which honest updates surround."""
    if name in PASSES_ONE_ATTACKER:
        pytest.skip(f"{name} promises nothing against one attacker")
    matrix = normal(NUM_SITES, NUM_VALUES)
    longest = matrix[1:].norm(dim=1).max()
    matrix[0] = 1e12
    assert apply(_build(name), matrix).norm() <= longest


@every_robust
def test_too_few_updates_are_refused_with_the_number_needed(name):
    for num_byzantine in (1, 3):
        rule = _build(name, num_byzantine=num_byzantine)
        least = rule.min_updates()
        assert least >= 1
        assert apply(rule, normal(least, NUM_VALUES)).isfinite().all()
        with pytest.raises(QuorumError, match=f'"{name}" .*at least {least} updates.*got {least - 1};'):
            apply(rule, torch.zeros(least - 1, NUM_VALUES))

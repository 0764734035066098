"""Bucketing. Oracles: the inner rule itself (size 1), means by hand, inverse (scenario and back)."""

import tomllib

import numpy as np
import pytest
import tomli_w
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medfed import registry
from robustness.aggregation.bucketing import Bucketing, bucket_matrix
from robustness.aggregation.centred_clipping import CENTRE, CentredClipping
from robustness.aggregation.foolsgold import FoolsGold
from robustness.aggregation.krum import Krum
from robustness.aggregation.mean import Mean
from robustness.aggregation.median import CoordinateMedian
from robustness.aggregation.trimmed_mean import TrimmedMean
from tests.robustness.aggregation.rows import BufferedRows, apply, apply_to, normal


@settings(max_examples=25)
@given(seed=st.integers(0, 99), num_sites=st.integers(7, 15))
def test_buckets_of_one_are_the_inner_rule(seed, num_sites):
    matrix = normal(num_sites, 12, seed)
    for inner in (CoordinateMedian(), Krum(num_byzantine=2)):
        assert torch.equal(apply(Bucketing(size=1, inner=inner), matrix, seed=seed), apply(inner, matrix))


def test_one_bucket_of_all_is_the_mean():
    matrix = normal(5, 12)
    torch.testing.assert_close(apply(Bucketing(size=5), matrix), matrix.mean(dim=0))


@settings(max_examples=25)
@given(num_sites=st.integers(1, 20), size=st.integers(1, 6), seed=st.integers(0, 99))
def test_every_update_is_in_one_bucket_and_every_bucket_is_a_mean(num_sites, size, seed):
    order = np.random.default_rng(seed).permutation(num_sites).tolist()
    matrix = bucket_matrix(order, size)
    assert len(matrix) == -(-num_sites // size)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(len(matrix)))
    members = (matrix > 0.0).sum(dim=1)
    assert ((matrix > 0.0).sum(dim=0) == 1).all()
    assert (members[:-1] == size).all()


def test_the_generator_draws_the_buckets():
    matrix = normal(12, 9)
    rule = Bucketing(size=3)
    order = np.random.default_rng(4).permutation(12)
    expected = matrix[torch.from_numpy(order)].reshape(4, 3, 9).mean(dim=1)
    torch.testing.assert_close(apply(rule, matrix, seed=4), apply(CoordinateMedian(), expected))
    assert not torch.equal(apply(rule, matrix, seed=4), apply(rule, matrix, seed=5))


def test_the_state_of_the_inner_rule_is_kept():
    rule = Bucketing(size=2, inner=CentredClipping(radius=0.1))
    out, state = apply_to(rule, BufferedRows(normal(6, 9)))
    assert torch.equal(state[CENTRE], out)
    after, _ = apply_to(rule, BufferedRows(normal(6, 9, seed=1)), state)
    assert (after - out).norm() <= 0.1 + 1e-6


@pytest.mark.parametrize("size", [1, 2, 3])
def test_as_many_updates_as_make_enough_buckets(size):
    rule = Bucketing(size=size, inner=TrimmedMean(num_byzantine=2))
    assert -(-rule.min_updates() // size) == 5
    assert -(-(rule.min_updates() - 1) // size) == 4


@pytest.mark.parametrize(
    ("inner", "message"), [(Mean(), 'a robust rule, such as "median"; got "mean"'), (FoolsGold(), 'got "foolsgold"')]
)
def test_an_inner_rule_that_cannot_be_is_refused(inner, message):
    with pytest.raises(ValueError, match=message):
        Bucketing(inner=inner)


def test_a_scenario_holds_the_inner_rule_and_gives_it_back():
    rule = Bucketing(size=3, inner=Bucketing(size=2, inner=Krum(num_byzantine=1)))
    described = registry.describe("aggregator", rule)
    assert described["inner"]["inner"] == {"name": "krum", "num_byzantine": 1}
    assert registry.build("aggregator", tomllib.loads(tomli_w.dumps(described))) == rule
    assert registry.build("aggregator", {"name": "bucketing", "inner": "median"}) == Bucketing()

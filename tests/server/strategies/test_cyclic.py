"""Oracle: laws of a permutation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medfed.types import Update
from server.strategies.cyclic import Cyclic


@given(sites=st.lists(st.text(min_size=1), unique=True, max_size=8), seed=st.integers(0, 99))
def test_every_site_trains_once_in_an_order_that_depends_on_names_and_generator_alone(sites, seed):
    stages = Cyclic().stages(sites, np.random.default_rng(seed))
    assert all(len(stage) == 1 for stage in stages)
    assert sorted(stage[0] for stage in stages) == sorted(sites)
    assert stages == Cyclic().stages(sites[::-1], np.random.default_rng(seed))


def test_orders_differ_between_rounds():
    draws = np.random.default_rng(1)
    firsts = {Cyclic().stages(["a", "b", "c"], draws)[0][0] for _ in range(30)}
    assert firsts == {"a", "b", "c"}


def test_every_site_counts_once():
    assert Cyclic().weight(Update("a", {}, 500, 3, {})) == 1.0

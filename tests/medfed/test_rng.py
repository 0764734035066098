"""Named generators. Oracles: equality of equal names, inequality of different ones, frozen reference values."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from medfed.rng import derive_seed, numpy_generator, torch_generator

NAMES = st.lists(st.one_of(st.text(max_size=5), st.integers(-5, 5)), max_size=4)


@given(st.integers(0, 2**32), NAMES, NAMES)
def test_seeds_differ_exactly_where_names_differ(seed: int, one: list[str | int], two: list[str | int]) -> None:
    assert (derive_seed(seed, *one) == derive_seed(seed, *two)) == (one == two)
    assert 0 <= derive_seed(seed, *one) < 2**63


def test_reference_values_never_change() -> None:
    # Frozen: a change here changes every result of every scenario.
    assert derive_seed(1, "a", 2) == 1788198119903758589


def test_streams_are_independent_of_each_other() -> None:
    first = torch_generator(1, "a")
    torch.rand(5, generator=torch_generator(1, "b"))
    assert torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=torch_generator(1, "a")))
    assert numpy_generator(1, "a").random() == numpy_generator(1, "a").random() != numpy_generator(1, "b").random()

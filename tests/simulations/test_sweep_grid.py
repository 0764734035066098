"""Axes, their product and the names of runs. Oracles: by hand, inverse (join and split), laws."""

import re

import hypothesis.strategies as st
import pytest
from hypothesis import given

from medfed.errors import ScenarioError
from simulations.sweeps.grid import MAX_RUN_NAME, Axis, labels, parse_axis, product, split_values


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("strategy.name=fedavg,fedprox", "federation.strategy.name", ("fedavg", "fedprox")),
        ("data.partition.alpha= 0.1 , 1", "data.partition.alpha", ("0.1", "1")),
        ("partition.alpha=1", "data.partition.alpha", ("1",)),
        ("record.rounds=[1, -1],[]", "record.rounds", ("[1, -1]", "[]")),
        ("strategy=fedavg,{name='x', mu=0.1}", "federation.strategy", ("fedavg", "{name='x', mu=0.1}")),
        ('data.sites=["a,b"],["c"]', "data.sites", ('["a,b"]', '["c"]')),
        (r'data.path="a\",b",c', "data.path", (r'"a\",b"', "c")),
    ],
)
def test_an_axis(text: str, key: str, values: tuple[str, ...]) -> None:
    assert parse_axis(text) == Axis(key, values)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("training.rounds", "expected KEY=VALUE"),
        ("training.rounds=", "no value empty"),
        ("training.rounds=1,,2", "no value empty"),
        ("training.rounds=[1", "closed brackets"),
        ("data.path='a", "closed brackets and quotes"),
        ("training.rounds=1,2,1", "1 more than once"),
        ("seed=1,2", "give --seeds N"),
        ("name=a,b", "named by what they vary"),
        ("batch_size=1,2", '"training.batch_size" or "evaluation.batch_size"'),
        ("stratgy.name=a", 'did you mean "federation.strategy.name"'),
    ],
)
def test_a_wrong_axis_is_one_line(text: str, told: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_axis(text)
    assert "\n" not in str(caught.value)
    assert told in str(caught.value)


value = st.recursive(
    st.one_of(st.from_regex(r"[a-z0-9.-]{1,5}", fullmatch=True), st.text("ab,[]{}'", max_size=5).map('"{}"'.format)),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]"),
    max_leaves=5,
)


@given(st.lists(value, min_size=1, max_size=5))
def test_values_joined_by_commas_are_split_into_the_same_values(values: list[str]) -> None:
    assert split_values(",".join(values)) == values


def test_the_product_has_the_last_axis_changing_fastest() -> None:
    found = product([Axis("a", ("1", "2")), Axis("b", ("x", "y"))])
    assert [tuple(point.values()) for point in found] == [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]
    assert product([]) == [{}]


def test_labels_are_readable() -> None:
    point = {"federation.strategy.name": "fedavg", "data.partition.alpha": "0.1", "record.rounds": "[1, -1]"}
    assert labels([point], 3) == ["strategy-fedavg_alpha-0.1_rounds-1--1"]
    assert labels([{"training.rounds": "3", "record.rounds": "[]"}], 3) == ["training.rounds-3_record.rounds-"]
    assert labels([{"federation.strategy": "{name='fedprox', mu=0.1}"}], 3) == ["strategy-name-fedprox-mu-0.1"]
    assert labels([{}], 3) == ["base"]


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=90)


@given(st.lists(texts, min_size=1, max_size=6, unique=True), st.integers(0, 2**63 - 1))
def test_labels_are_safe_names_that_differ_even_without_case(values: list[str], seed: int) -> None:
    found = labels([{"data.path": value} for value in values], seed)
    assert len({label.lower() for label in found}) == len(values)
    for label in found:
        name = f"{label}-seed{seed}"
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)
        assert len(name) <= MAX_RUN_NAME

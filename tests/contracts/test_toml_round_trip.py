"""A plug-in written to a scenario and read back is the same value, whatever its table. Oracle: inverse."""

import tomllib

import pytest
import tomli_w

from medfed import registry

KINDS = ("model", "loss", "optimizer", "transform")


def _tuples(value):
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(_tuples(inner) for inner in value) if isinstance(value, list) else value


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in registry.table(kind)])
def test_toml_and_back(kind, name):
    value = registry.table(kind)[name]()
    text = tomli_w.dumps(registry.describe(kind, value))
    assert registry.build(kind, _tuples(tomllib.loads(text))) == value
    assert repr(value).startswith(type(value).__name__ + "(")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("loss", {"name": "cross_entropy", "class_weights": (1.0, 2.5)}),
        ("loss", {"name": "bce", "pos_weight": 3.0}),
        ("optimizer", {"name": "adamw", "betas": (0.5, 0.9)}),
        ("transform", {"name": "affine", "scale": (0.5, 2.0)}),
    ],
)
def test_values_that_are_not_plain_words_survive(kind, fields):
    described = registry.describe(kind, registry.build(kind, fields))
    assert described == {**described, **fields}
    assert registry.build(kind, _tuples(tomllib.loads(tomli_w.dumps(described)))) == registry.build(kind, fields)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("loss", {"name": "cross_entropy", "class_weights": "balancd"}, "one number above 0 per class; got 'balancd'"),
        ("loss", {"name": "cross_entropy", "class_weights": (1.0, "0.3")}, "one number above 0 per class"),
        ("loss", {"name": "bce", "pos_weight": "0.3"}, "a number above 0; got '0.3'"),
        ("optimizer", {"name": "sgd", "nesterov": True}, "needs momentum above 0"),
        ("transform", {"name": "affine", "scale": (1.1, 0.9)}, "smallest, largest"),
    ],
)
def test_a_fault_says_what_was_expected(kind, fields, message):
    with pytest.raises(ValueError, match=message):
        registry.build(kind, fields)

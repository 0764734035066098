"""Oracle: the laws of a partition (every row once, patients whole, seeded), and limits that are known."""

from collections import Counter

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfed.data.partition import PARTITIONERS, assign
from medfed.data.partition.dirichlet import Dirichlet
from medfed.data.partition.iid import Iid
from medfed.data.partition.natural import Natural
from medfed.data.partition.one_class import OneClass
from medfed.data.partition.quantity import Quantity
from medfed.errors import DataError
from medfed.rng import numpy_generator


@st.composite
def partitioners(draw):
    num_sites, alpha = draw(st.integers(2, 8)), draw(st.floats(0.01, 100.0))
    return draw(
        st.sampled_from(
            [
                Natural(),
                Iid(num_sites=num_sites),
                Dirichlet(num_sites=num_sites, alpha=alpha),
                Quantity(num_sites=num_sites, alpha=alpha),
                OneClass(num_sites=num_sites),
            ]
        )
    )


@st.composite
def data(draw):
    """Labels by patient (so that one_class can hold), patients, natural sites."""
    num = draw(st.integers(1, 120))
    patients = draw(st.lists(st.integers(0, max(1, num // draw(st.integers(1, 4)))), min_size=num, max_size=num))
    num_classes = draw(st.integers(1, 5))
    labels = np.array([patient * 7 % num_classes for patient in patients], dtype=np.int64)
    return labels, [f"p{patient}" for patient in patients], [f"s{patient % 3}" for patient in patients]


def _call(partitioner, values, seed=0, min_images=1):
    return assign(partitioner, *values, numpy_generator(seed, "partition"), min_images)


@given(partitioners(), data(), st.integers(0, 3), st.integers(1, 20))
@settings(max_examples=300)
def test_every_row_once_patients_whole_seeded_and_large_enough(partitioner, values, seed, min_images):
    try:
        names = _call(partitioner, values, seed, min_images)
    except DataError:
        with pytest.raises(DataError, match=r"min_images_per_site|one_class"):
            _call(partitioner, values, seed, min_images)
        return
    labels, patients, sites = values
    assert len(names) == len(labels)
    assert len(set(zip(patients, names, strict=True))) == len(set(patients))
    assert min(Counter(names).values()) >= min_images
    assert names == _call(partitioner, values, seed, min_images)
    if partitioner.keeps_sites:
        assert names == tuple(sites)
    else:
        assert set(names) == {f"site-{number:02d}" for number in range(1, partitioner.num_sites + 1)}


@given(partitioners(), data(), st.randoms(use_true_random=False))
def test_the_order_of_rows_has_no_influence(partitioner, values, random):
    labels, patients, sites = values
    order = list(range(len(labels)))
    random.shuffle(order)
    moved = labels[order], [patients[i] for i in order], [sites[i] for i in order]
    try:
        names = _call(partitioner, values)
    except DataError:
        with pytest.raises(DataError):
            _call(partitioner, moved)
        return
    assert _call(partitioner, moved) == tuple(names[i] for i in order)


def _images(num, num_classes=4):
    labels = np.arange(num, dtype=np.int64) % num_classes
    return labels, [f"image-{i:05d}" for i in range(num)], ["all"] * num


def _shares(names, labels):
    """(sites, classes): the class shares of every site."""
    table = np.array(
        [[np.sum((np.array(names) == s) & (labels == c)) for c in np.unique(labels)] for s in sorted(set(names))]
    )
    return table / table.sum(axis=1, keepdims=True)


def test_iid_sizes_are_equal():
    sizes = Counter(_call(Iid(num_sites=5), _images(1003))).values()
    assert max(sizes) - min(sizes) <= 1


def test_other_seeds_give_other_partitions():
    values = _images(200)
    assert _call(Iid(num_sites=4), values, 1) != _call(Iid(num_sites=4), values, 2)


def _spread(names, labels):
    """(classes, sites): how each class is spread over the sites."""
    sites = sorted(set(names))
    table = np.array([[np.sum((np.array(names) == s) & (labels == c)) for s in sites] for c in np.unique(labels)])
    return table / table.sum(axis=1, keepdims=True)


def test_dirichlet_with_large_alpha_tends_to_iid():
    values = _images(4000)
    names = _call(Dirichlet(num_sites=5, alpha=1e6), values)
    np.testing.assert_allclose(_shares(names, values[0]), 0.25, atol=0.01)
    np.testing.assert_allclose(_spread(names, values[0]), 0.2, atol=0.01)


def test_dirichlet_with_small_alpha_tends_to_one_site_per_class():
    values = _images(4000)
    tops = [
        _spread(_call(Dirichlet(num_sites=3, alpha=1e-3), values, seed), values[0]).max(axis=1) for seed in range(9)
    ]
    assert np.mean(tops) > 0.98


def test_dirichlet_spreads_classes_with_the_moments_of_the_distribution():
    """q ~ Dir(alpha, ..., alpha) over K sites: E q = 1 / K, Var q = (K - 1) / (K^2 (K alpha + 1))."""
    sites, alpha = 4, 2.0
    values = _images(1000, num_classes=5)
    partitioner = Dirichlet(num_sites=sites, alpha=alpha)
    shares = np.concatenate([_spread(_call(partitioner, values, seed), values[0]).ravel() for seed in range(60)])
    assert shares.mean() == pytest.approx(1 / sites)
    assert shares.var() == pytest.approx((sites - 1) / (sites**2 * (sites * alpha + 1)), rel=0.15)


def test_quantity_sizes_follow_the_shares_of_the_distribution():
    """Shares ~ Dir(alpha, ..., alpha): variance (K - 1) / (K^2 (K alpha + 1)); class mixtures stay the same."""
    sites, alpha, sizes = 4, 3.0, []
    values = _images(1000)
    for seed in range(200):
        sizes += Counter(_call(Quantity(num_sites=sites, alpha=alpha), values, seed)).values()
    expected = (sites - 1) / (sites**2 * (sites * alpha + 1))
    assert (np.array(sizes) / 1000).var() == pytest.approx(expected, rel=0.15)
    shares = _shares(_call(Quantity(num_sites=2, alpha=1e6), values), values[0])
    np.testing.assert_allclose(shares, 0.25, atol=0.08)


def test_one_class_per_site_and_large_classes_get_more_sites():
    labels = np.array([0] * 60 + [1] * 20 + [2] * 20, dtype=np.int64)
    names = _call(OneClass(num_sites=5), (labels, [f"i{i}" for i in range(100)], [""] * 100))
    assert _shares(names, labels).max(axis=1).tolist() == [1.0] * 5
    assert sorted(Counter(names).values()) == [20] * 5


@pytest.mark.parametrize(
    ("partitioner", "values", "min_images", "said"),
    [
        (Iid(num_sites=5), _images(50), 20, "50 training and validation images.*too few for 5 sites"),
        (Iid(num_sites=5), (np.zeros(9, np.int64), ["p"] * 9, [""] * 9), 1, "of 1 patients"),
        (Quantity(num_sites=10, alpha=0.01), _images(1000), 20, "100 draws.*raise alpha"),
        (Dirichlet(num_sites=2, alpha=1.0), (None, ["a", "b"], ["", ""]), 1, "needs a label"),
        (OneClass(num_sites=2), (None, ["a", "b"], ["", ""]), 1, "needs a label"),
        (OneClass(num_sites=3), _images(100), 5, "set num_sites to 4 or more"),
        (OneClass(num_sites=2), (np.array([0, 1, 1]), ["a", "a", "b"], [""] * 3), 1, "patient is never divided"),
        (Natural(), (np.zeros(5, np.int64), list("abcde"), list("xxxxy")), 2, r"y \(1\).*data.sites"),
    ],
)
def test_what_cannot_be_met_is_said_with_a_remedy(partitioner, values, min_images, said):
    with pytest.raises(DataError, match=said):
        _call(partitioner, values, min_images=min_images)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Iid(num_sites=1),
        lambda: OneClass(num_sites=0),
        lambda: Dirichlet(num_sites=5, alpha=0.0),
        lambda: Quantity(num_sites=5, alpha=-1.0),
        lambda: Quantity(num_sites=5, alpha=float("inf")),
        lambda: Dirichlet(num_sites=5.0, alpha=1.0),
    ],
)
def test_fields_are_validated(make):
    with pytest.raises(pydantic.ValidationError):
        make()


def test_more_than_99_sites_keep_their_order_by_name():
    names = sorted(set(_call(Iid(num_sites=120), _images(240))))
    assert names[0] == "site-001"
    assert names[-1] == "site-120"


class _Divides:
    keeps_sites = False

    def __call__(self, labels, patients, sites, generator, min_images):
        return tuple(f"site-{i}" for i in range(len(patients)))


class _Forgets(_Divides):
    def __call__(self, labels, patients, sites, generator, min_images):
        return ("site-1",)


@pytest.mark.parametrize("partitioner", [_Divides(), _Forgets()])
def test_a_partitioner_that_breaks_its_contract_is_caught(partitioner):
    with pytest.raises(ValueError, match=r"divided patient|named 1 sites"):
        _call(partitioner, (None, ["a", "a"], ["", ""]))


def test_the_table_names_all():
    assert set(PARTITIONERS) == {"natural", "iid", "dirichlet", "quantity", "one_class"}

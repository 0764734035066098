"""Neighbours and thresholds. Oracles: complete graphs by hand, and simulated graphs whose bad events are counted."""

import numpy as np
import pytest

from medfed.errors import QuorumError
from privacy.secure_aggregation.degree import Degree, smallest_degree
from privacy.secure_aggregation.graph import circle
from privacy.secure_aggregation.settings import SecAggPlus


@pytest.mark.parametrize(
    ("num_sites", "expected"),
    [
        (3, Degree(2, 2)),  # nobody may drop out, nobody colludes: 2 t > 2
        (4, Degree(3, 2)),  # one may drop out: 2 neighbours are left; 2 t > 3
        (5, Degree(4, 3)),  # one may drop out: 3 are left; 2 t > 4
        (10, Degree(9, 6)),  # three drop out, one colludes: 6 are left; 2 t - 9 > 1
    ],
)
def test_few_sites_are_all_neighbours(num_sites: int, expected: Degree) -> None:
    assert SecAggPlus().degree(num_sites) == expected


def test_many_sites_need_not_all_be_neighbours() -> None:
    assert SecAggPlus().degree(500).neighbours < 300


@pytest.mark.parametrize(("num_sites", "dropouts", "colluding"), [(2, 0, 0), (4, 2, 0), (6, 2, 2)])
def test_too_few_sites_are_refused(num_sites: int, dropouts: int, colluding: int) -> None:
    """Two are left of (2, 0) and (4, 2); of 5 neighbours 3 are left, and 2 t - 5 > 2 needs 4."""
    with pytest.raises(QuorumError, match=f"{num_sites} sites, of which {dropouts}"):
        smallest_degree(num_sites, dropouts, colluding, 40, 20)


def test_bad_events_are_as_rare_as_is_asked() -> None:
    """At 3 bits each (12.5 %), 400 drawn graphs of 40 sites, 12 of which drop out and 4 collude."""
    degree = smallest_degree(40, 12, 4, 3, 3)
    assert degree.neighbours < 39  # else there is nothing to count
    draws = np.random.default_rng(1)
    names = [f"{i:02d}" for i in range(40)]
    gone, colluding = set(names[:12]), set(names[12:16])
    exposed = lost = 0
    for _ in range(400):
        graph = circle([names[i] for i in draws.permutation(40)], degree.neighbours)
        honest = [site for site in names if site not in colluding]
        helped = max(len(colluding & set(graph[site])) for site in honest)
        exposed += helped >= 2 * degree.threshold - degree.neighbours
        lost += min(len(set(graph[site]) - gone) for site in names if site not in gone) < degree.threshold
    assert exposed <= 400 * 2**-3 * 1.4  # the standard deviation of a count at 12.5 % is 6.6 of 50
    assert lost <= 400 * 2**-3 * 1.4


@pytest.mark.parametrize(("num_sites", "degree"), [(7, 2), (7, 4), (7, 6), (6, 5)])
def test_a_circle_joins_everyone_to_so_many(num_sites: int, degree: int) -> None:
    """Law: neighbours are mutual and as many as asked."""
    graph = circle([f"{i}" for i in range(num_sites)], degree)
    assert all(len(set(peers)) == degree and site not in peers for site, peers in graph.items())
    assert all(site in graph[peer] for site, peers in graph.items() for peer in peers)


def test_an_odd_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an even number of neighbours below 7, or 6; got 3"):
        circle([f"{i}" for i in range(7)], 3)

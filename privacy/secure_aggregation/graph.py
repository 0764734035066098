"""Who shares masks with whom: a circle in random order, everyone joined to the nearest on both sides (Harary graph).

The order is drawn by the server, anew for every round, before anyone drops out;
:mod:`privacy.secure_aggregation.degree` says why that is enough.
"""

from collections.abc import Sequence

Graph = dict[str, tuple[str, ...]]
"""Site -> its neighbours, sorted."""


def circle(order: Sequence[str], degree: int) -> Graph:
    """Join every site to the ``degree`` nearest in ``order``, seen as a circle.

    Args:
        order: sites in random order.
        degree: even, or one less than the number of sites, who are all joined then.

    Raises:
        ValueError: a site is named twice, or ``degree`` is neither.
    """
    num_sites = len(order)
    if len(set(order)) != num_sites:
        raise ValueError("a site is named twice")
    if degree == num_sites - 1:
        return {site: tuple(sorted(set(order) - {site})) for site in order}
    if degree % 2 or not 0 < degree < num_sites:
        raise ValueError(f"expected an even number of neighbours below {num_sites}, or {num_sites - 1}; got {degree}")
    steps = [step for step in range(-degree // 2, degree // 2 + 1) if step]
    return {
        site: tuple(sorted(order[(place + step) % num_sites] for step in steps)) for place, site in enumerate(order)
    }

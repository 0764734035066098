"""What the server does: joins sites into a graph, carries sealed letters, sums masked vectors, takes off the masks.

The sum is a fold (``total += vector``, modulo 2^b), in any order: memory does not grow with the number of sites. Of a
site that delivered, the server opens the seed of its own mask; of one that shared and then dropped out, its private
mask key, to take off the masks that its neighbours had in common with it. Never both of one site.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from medfed.errors import QuorumError, UpdateError
from privacy.secure_aggregation import shamir
from privacy.secure_aggregation.degree import Degree
from privacy.secure_aggregation.graph import Graph, circle
from privacy.secure_aggregation.keys import public_key
from privacy.secure_aggregation.masks import Ring, add_mask
from privacy.secure_aggregation.shamir import SHARE_BYTES
from privacy.secure_aggregation.site import Invitation, PublicKeys, pair_seed

Letters = Mapping[str, Mapping[str, bytes]]
"""Sender -> receiver -> what only the receiver can read."""

Answers = Mapping[str, Mapping[str, bytes]]
"""Holder -> owner -> one share of one of the owner's secrets."""


@dataclass(frozen=True, eq=False)
class Session:
    """One sum: who advertised which keys, and who is whose neighbour. ``name`` is used for no other."""

    name: bytes
    keys: Mapping[str, PublicKeys]
    graph: Graph
    threshold: int

    def invitation(self, site: str) -> Invitation:
        """What ``site`` is told before it shares."""
        return Invitation(self.name, self.threshold, {peer: self.keys[peer] for peer in self.graph[site]})

    def inbox(self, site: str, letters: Letters) -> dict[str, bytes]:
        """The letters for ``site`` of its neighbours who shared."""
        return {peer: letters[peer][site] for peer in self.graph[site] if peer in letters}

    def told(self, site: str, shared: Collection[str], delivered: Collection[str]) -> frozenset[str]:
        """Which of the neighbours of ``site`` delivered."""
        return frozenset(peer for peer in self.graph[site] if peer in shared and peer in delivered)


def open_session(name: bytes, keys: Mapping[str, PublicKeys], degree: Degree, order: Sequence[str]) -> Session:
    """Join the owners of ``keys``; ``order`` has their names at random, drawn after they gave their keys.

    Raises:
        ValueError: ``order`` has other names.
    """
    if set(order) != keys.keys():
        raise ValueError("order must have exactly the sites that gave keys")
    return Session(name, dict(keys), circle(order, degree.neighbours), degree.threshold)


def check_letters(session: Session, site: str, letters: Mapping[str, bytes]) -> None:
    """Refuse letters that are not one for each neighbour.

    Raises:
        UpdateError: says how many were expected.
    """
    if letters.keys() != set(session.graph[site]):
        raise UpdateError(
            f"site {site}: expected a letter for each of its {len(session.graph[site])} neighbours, got {len(letters)}"
        )


def check_shares(session: Session, site: str, shared: Collection[str], shares: Mapping[str, bytes]) -> None:
    """Refuse an answer that is not one share for each neighbour that had shared.

    Raises:
        UpdateError: says what was expected.
    """
    expected = {peer for peer in session.graph[site] if peer in shared}
    if shares.keys() != expected or any(len(share) != SHARE_BYTES for share in shares.values()):
        raise UpdateError(
            f"site {site}: expected a share of {SHARE_BYTES} bytes for each of {len(expected)} neighbours, "
            f"got {len(shares)}"
        )


def take_off_masks(
    session: Session, shared: Collection[str], delivered: Collection[str], total: Ring, answers: Answers
) -> None:
    """Leave of ``total``, the sum of the masked vectors of ``delivered``, the sum of their vectors; in place.

    Args:
        session: the session.
        shared: sites whose letters were carried to their neighbours.
        delivered: those of them whose masked vectors are in ``total``.
        total: changed in place.
        answers: what sites said in the last phase.

    Raises:
        QuorumError: fewer shares of a secret than the threshold. UpdateError: shares are wrong.
    """
    for site in sorted(delivered):
        add_mask(total, _opened(session, site, answers, delivered, "its own mask"), subtract=True)
    for gone in sorted(set(shared) - set(delivered)):
        private = _opened(session, gone, answers, delivered, "its masks with others")
        if public_key(private) != session.keys[gone].masks:
            raise UpdateError(f"secure aggregation: the shares of the key of {gone} are wrong; the sum is lost")
        for peer in session.graph[gone]:
            if peer in delivered:  # what `peer` added (or took off) for the one who is gone
                seed = pair_seed(private, session.keys[peer].masks, session.name)
                add_mask(total, seed, subtract=peer < gone)


def _opened(session: Session, owner: str, answers: Answers, delivered: Collection[str], what: str) -> bytes:
    """The secret of ``owner`` that is asked for, from the shares of its neighbours."""
    holders = enumerate(session.graph[owner], start=1)
    shares = {point: answers[peer][owner] for point, peer in holders if peer in answers and peer in delivered}
    if len(shares) < session.threshold:
        raise QuorumError(
            f"secure aggregation: {len(shares)} of the {len(session.graph[owner])} neighbours of {owner} helped to "
            f"take off {what}, expected {session.threshold} at least; raise federation.secure_aggregation.dropout"
        )
    try:
        return shamir.combine(shares, session.threshold)
    except ValueError as error:
        raise UpdateError(f"secure aggregation: the shares for {owner} are wrong; the sum is lost") from error

"""What a site does in the four phases: a function per phase, from the state before it to the state after it.

    advertise   two fresh key pairs: for sealed letters, and for masks
    share       a fresh seed of its own mask; shares of it and of the private mask key, sealed, one for each neighbour
    mask        the vector + its own mask + a mask with each neighbour who shared: added by one, taken off by the other
    open        for each of these neighbours one share: of the own mask if it delivered, of the private mask key if not

No phase is done twice from one state: two vectors under the same masks would show their difference. The caller keeps
the state, and forgets it with the phase. A site answers the last question once, for each neighbour with one kind of
share, whatever the server claims of others; that is why the server cannot have a site's own mask and its mask key both.
"""

from collections.abc import Mapping

import pydantic
from pydantic.dataclasses import dataclass

from medfed.errors import SiteError
from privacy.secure_aggregation import shamir
from privacy.secure_aggregation.keys import KEY_BYTES, agree, public_key, seal, unseal
from privacy.secure_aggregation.masks import Ring, add_mask
from privacy.secure_aggregation.shamir import SHARE_BYTES, Draw

_CONFIG = pydantic.ConfigDict(ser_json_bytes="hex", val_json_bytes="hex", extra="forbid")


@dataclass(frozen=True, config=_CONFIG)
class PublicKeys:
    """What a site shows of itself; ``letters`` to seal what only it may read, ``masks`` to agree on masks with it."""

    letters: bytes
    masks: bytes


@dataclass(frozen=True, config=_CONFIG)
class Advertised:
    """A site's secrets after the first phase: private keys, for this ``session`` only."""

    session: bytes
    site: str
    letters: bytes
    masks: bytes


@dataclass(frozen=True, config=_CONFIG)
class Invitation:
    """What the server tells a site before it shares: the public keys of its neighbours, how many must answer."""

    session: bytes
    threshold: int
    peers: dict[str, PublicKeys]


@dataclass(frozen=True, config=_CONFIG)
class Shared:
    """After the second phase: the seed of its own mask as well."""

    secrets: Advertised
    invitation: Invitation
    seed: bytes


@dataclass(frozen=True, config=_CONFIG)
class Shares:
    """Of one neighbour: of its private mask key, and of the seed of its own mask."""

    key: bytes
    seed: bytes


@dataclass(frozen=True, config=_CONFIG)
class Masked:
    """After the third phase: what the neighbours entrusted to it. Its own keys are not needed any more."""

    session: bytes
    site: str
    threshold: int
    held: dict[str, Shares]


def advertise(session: bytes, site: str, draw: Draw) -> tuple[Advertised, PublicKeys]:
    """Fresh keys for ``session``, which the server named."""
    state = Advertised(session, site, draw(KEY_BYTES), draw(KEY_BYTES))
    return state, PublicKeys(public_key(state.letters), public_key(state.masks))


def share(state: Advertised, invitation: Invitation, draw: Draw) -> tuple[Shared, dict[str, bytes]]:
    """A sealed letter for each neighbour. The i-th neighbour by name holds the shares at point i, from 1.

    Raises:
        SiteError: the invitation is of another session, or its neighbours and threshold do not keep the secrets apart.
    """
    _require_session(state, invitation.session)
    peers, threshold = sorted(invitation.peers), invitation.threshold
    if state.site in peers or len(peers) < 2 or not len(peers) < 2 * threshold <= 2 * len(peers):
        raise SiteError(
            f"secure aggregation: expected 2 neighbours or more and a threshold above half of them, got {len(peers)} "
            f"and {threshold}"
        )
    if len({keys.masks for keys in invitation.peers.values()}) < len(peers):
        raise SiteError("secure aggregation: two neighbours have one key")
    seed, points = draw(KEY_BYTES), range(1, len(peers) + 1)
    of_key = shamir.split(state.masks, points, threshold, draw)
    of_seed = shamir.split(seed, points, threshold, draw)
    letters = {
        peer: seal(_letter_key(state, invitation, peer, (state.site, peer)), of_key[point] + of_seed[point], draw)
        for point, peer in enumerate(peers, start=1)
    }
    return Shared(state, invitation, seed), letters


def mask(state: Shared, letters: Mapping[str, bytes], vector: Ring) -> tuple[Masked, Ring]:
    """``vector`` under its masks, which is to be sent, and what is kept; ``letters`` are those of the neighbours.

    Raises:
        SiteError: a letter is not of a neighbour or was changed, or there are fewer than the threshold.
    """
    invitation, threshold = state.invitation, state.invitation.threshold
    unknown = letters.keys() - invitation.peers.keys()
    if unknown or len(letters) < threshold:
        raise SiteError(
            f"secure aggregation: expected letters of {threshold} neighbours or more, got {len(letters) - len(unknown)}"
            f" of them and {len(unknown)} of others"
        )
    held = {peer: _read(state, peer, letter) for peer, letter in sorted(letters.items())}
    total = vector.copy()
    add_mask(total, state.seed)
    for peer in held:
        pair = pair_seed(state.secrets.masks, invitation.peers[peer].masks, invitation.session)
        add_mask(total, pair, subtract=state.secrets.site > peer)
    return Masked(invitation.session, state.secrets.site, threshold, held), total


def open_masks(state: Masked, session: bytes, delivered: frozenset[str]) -> dict[str, bytes]:
    """For each neighbour that shared, a share of its seed if it is among ``delivered``, else of its private mask key.

    Raises:
        SiteError: another session is meant, who is said to have delivered had not shared, or too few have.
    """
    if session != state.session:
        raise SiteError("secure aggregation: asked for the shares of another session")
    if not delivered <= state.held.keys() or len(delivered) < state.threshold:
        raise SiteError(
            f"secure aggregation: expected {state.threshold} neighbours or more to have delivered, of the "
            f"{len(state.held)} that had shared; the server says {len(delivered & state.held.keys())}"
        )
    return {peer: shares.seed if peer in delivered else shares.key for peer, shares in state.held.items()}


def pair_seed(private: bytes, public: bytes, session: bytes) -> bytes:
    """The seed of the mask that two sites have in common; the same from either side."""
    return agree(private, public, b"mask", session)


def _letter_key(state: Advertised, invitation: Invitation, peer: str, way: tuple[str, str]) -> bytes:
    """The key of the letter from ``way[0]`` to ``way[1]``, one of whom is ``peer``."""
    public = invitation.peers[peer].letters
    try:
        return agree(state.letters, public, b"letter", state.session, way[0].encode(), way[1].encode())
    except ValueError as error:
        raise SiteError(f"secure aggregation: the key of {peer} is none") from error


def _read(state: Shared, peer: str, letter: bytes) -> Shares:
    key = _letter_key(state.secrets, state.invitation, peer, (peer, state.secrets.site))
    try:
        opened = unseal(key, letter)
    except ValueError as error:
        raise SiteError(f"secure aggregation: from {peer}: {error}") from error
    if len(opened) != 2 * SHARE_BYTES:
        raise SiteError(f"secure aggregation: from {peer}: expected two shares, got {len(opened)} bytes")
    return Shares(opened[:SHARE_BYTES], opened[SHARE_BYTES:])


def _require_session(state: Advertised, session: bytes) -> None:
    if state.session != session:
        raise SiteError("secure aggregation: invited to another session than it has keys for")

"""A whole session in one process, with sites that drop out where a test says so."""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from privacy.secure_aggregation import server, site
from privacy.secure_aggregation.degree import Degree
from privacy.secure_aggregation.masks import Ring
from privacy.secure_aggregation.server import Session
from privacy.secure_aggregation.shamir import Draw

NAME = b"session"


def seeded(seed: int) -> Draw:
    """Random bytes that a test can draw again."""
    return random.Random(seed).randbytes


@dataclass(frozen=True, eq=False)
class Run:
    """What the server saw."""

    session: Session
    letters: Mapping[str, Mapping[str, bytes]]
    states: Mapping[str, site.Masked]
    masked: Mapping[str, Ring]
    answers: Mapping[str, Mapping[str, bytes]]

    def total(self) -> Ring:
        """The sum with the masks off."""
        total = np.sum(list(self.masked.values()), axis=0, dtype=next(iter(self.masked.values())).dtype)
        server.take_off_masks(self.session, self.letters, self.masked, total, self.answers)
        return total


def run(
    vectors: Mapping[str, Ring],
    degree: Degree,
    seed: int,
    *,
    before_sharing: Collection[str] = (),
    before_masking: Collection[str] = (),
    before_opening: Collection[str] = (),
) -> Run:
    """All four phases; whoever is named in one of the last three is gone from there on."""
    draw = seeded(seed)
    keys = {name: site.advertise(NAME, name, draw) for name in vectors}
    order = random.Random(seed).sample(sorted(vectors), len(vectors))
    session = server.open_session(NAME, {name: public for name, (_, public) in keys.items()}, degree, order)
    shared = {
        name: site.share(state, session.invitation(name), draw)
        for name, (state, _) in keys.items()
        if name not in before_sharing
    }
    letters = {name: sent for name, (_, sent) in shared.items()}
    masked = {
        name: site.mask(state, session.inbox(name, letters), vectors[name])
        for name, (state, _) in shared.items()
        if name not in before_masking
    }
    answers = {
        name: site.open_masks(state, NAME, session.told(name, letters, masked))
        for name, (state, _) in masked.items()
        if name not in before_opening
    }
    states = {name: state for name, (state, _) in masked.items()}
    return Run(session, letters, states, {name: vector for name, (_, vector) in masked.items()}, answers)

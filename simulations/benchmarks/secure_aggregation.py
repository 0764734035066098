"""What secure aggregation costs: 100 sites with a million parameters each, in one process, beside the plain sum.

The protocol alone, without training: every site's keys, shares, masks and answers, and the server's sums, with 30 of
the 100 sites gone after they shared, which is the dearest case for the server. The peer is what the plain run does with
the same updates: packed by the sites, unpacked and folded by the server. Bytes are of all messages of one site on their
way up, as they travel. One thread.

    python -m simulations.benchmarks.secure_aggregation [--sites 100] [--values 1000000] [--gone 30]
"""

import argparse
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medfed import messages
from medfed.types import Update
from privacy.secure_aggregation import server, site, wire
from privacy.secure_aggregation.quantisation import NUM_COUNTS, decode, encode, steps_for
from privacy.secure_aggregation.settings import SecAggPlus
from server.fold import MeanFold
from simulations.benchmarks.report import Row, print_rows

_IMAGES = 100  # of every site
_MOST_BYTES = 1.01
"""Goal: integers of 32 bits travel as floats of 32 bits do; letters and shares add one part in a hundred at most."""


@dataclass
class Cost:
    """Seconds of all sites, seconds of the server, bytes of all sites."""

    sites: float = 0.0
    server: float = 0.0
    num_bytes: int = 0

    @contextmanager
    def at(self, who: str) -> Iterator[None]:
        """Count the seconds of the block for ``sites`` or ``server``."""
        started = time.perf_counter()
        yield
        setattr(self, who, getattr(self, who) + time.perf_counter() - started)


def update(number: int, num_values: int) -> NDArray[np.float32]:
    """The update of one site; made anew where it is needed, so that none is kept."""
    return np.random.default_rng(number).normal(0.0, 0.1, num_values).astype(np.float32)


def plain(num_values: int, delivered: range) -> tuple[Cost, NDArray[np.float32]]:
    """The plain run of those who deliver, and its mean."""
    cost, fold = Cost(), MeanFold()
    for number in delivered:
        tensors = {"values": torch.from_numpy(update(number, num_values))}
        with cost.at("sites"):
            content = messages.update_reply(Update("site", tensors, _IMAGES, 1, {"loss": 0.0}), 0.0)
        with cost.at("server"):
            delivery = messages.read_update("site", content)
            fold.add(delivery.update.tensors, float(_IMAGES))
        cost.num_bytes += delivery.num_bytes
    mean: NDArray[np.float32] = fold.result()["values"].numpy()
    return cost, mean


def masked(num_sites: int, num_values: int, delivered: range) -> tuple[Cost, NDArray[np.float64], float]:
    """The same under secure aggregation; and the error that is stated."""
    settings, cost, name = SecAggPlus(), Cost(), os.urandom(16)
    names = [f"site-{number:04d}" for number in range(num_sites)]
    steps = steps_for(settings.bits, settings.clip, num_sites * _IMAGES)
    with cost.at("sites"):
        keys = {each: site.advertise(name, each, os.urandom) for each in names}
    with cost.at("server"):
        order = random.SystemRandom().sample(names, num_sites)
        public = {each: shown for each, (_, shown) in keys.items()}
        session = server.open_session(name, public, settings.degree(num_sites), order)
    with cost.at("sites"):
        shared = {each: site.share(keys[each][0], session.invitation(each), os.urandom) for each in names}
    letters = {each: sent for each, (_, sent) in shared.items()}
    cost.num_bytes += sum(wire.num_bytes(wire.put(shown)) for shown in public.values())
    cost.num_bytes += sum(wire.num_bytes(wire.put(wire.Letters(sent))) for sent in letters.values())
    total = np.zeros(num_values + NUM_COUNTS, steps.dtype)
    states = {}
    for number in delivered:
        values, each = update(number, num_values), names[number]
        with cost.at("sites"):
            vector = encode(values, _IMAGES, steps)
            states[each], vector = site.mask(shared[each][0], session.inbox(each, letters), vector)
            content = wire.put_vector(vector, 0.0)
        with cost.at("server"):
            found, _, size = wire.take_vector(content, total)
            np.add(total, found, out=total)
        cost.num_bytes += size
    with cost.at("sites"):
        answers = {each: site.open_masks(state, name, session.told(each, letters, states))
                   for each, state in states.items()}  # fmt: skip
    cost.num_bytes += sum(wire.num_bytes(wire.put(wire.Letters(answer))) for answer in answers.values())
    with cost.at("server"):
        server.take_off_masks(session, letters, states, total, answers)
        opened = decode(total, steps, num_sites * _IMAGES)
    return cost, opened.mean, steps.error


def main() -> None:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sites", type=int, default=100)
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--gone", type=int, default=30)
    given = parser.parse_args()
    torch.set_num_threads(1)
    delivered = range(given.sites - given.gone)
    peer, mean = plain(given.values, delivered)
    ours, opened, error = masked(given.sites, given.values, delivered)
    num, found = len(delivered), float(np.abs(opened - mean).max())
    case = f"{given.sites} sites, {given.gone} gone, {given.values} values"
    rows = [
        Row(f"{case}: seconds per site", ours.sites / num, peer.sites / num, "s", "lower", None),
        Row(f"{case}: seconds of the server", ours.server, peer.server, "s", "lower", None),
        Row(f"{case}: bytes up per site", ours.num_bytes / num, peer.num_bytes / num, "B", "lower",
            peer.num_bytes / num * _MOST_BYTES),
        Row(f"{case}: error of the mean", found, None, "1", "lower", error + 1e-6, "goal: stated + float32's"),
    ]  # fmt: skip
    print_rows("secure_aggregation", rows)


if __name__ == "__main__":
    main()

"""A round under secure aggregation: four phases of messages, and a mean of which no part is known.

What is left to check of an update is what can be proved of a sum: its length, its range, its sum of weights, which
cannot be more than what the sites that delivered said when they joined. A site that fails in a phase is told as failed
and is not asked again in the round; one that failed only in the last phase is in the sum.
"""

import random
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from flwr.app import RecordDict

from medfed import events, messages
from medfed.config import Scenario
from medfed.errors import QuorumError, UpdateError
from medfed.models.initial import trained_entries
from medfed.params import group, num_values, prefixed, unflatten
from medfed.results import Failure, RoundResult, SiteRound
from medfed.training.local import steps_per_round
from privacy.mechanisms.contract import SharedMechanism, noised_at_site
from privacy.secure_aggregation import server as protocol
from privacy.secure_aggregation import wire
from privacy.secure_aggregation.masks import Ring
from privacy.secure_aggregation.quantisation import NUM_COUNTS, Opened, Steps, decode, steps_for, steps_of
from privacy.secure_aggregation.server import Session
from privacy.secure_aggregation.site import PublicKeys
from server.exchange import Fault, exchange, window_size
from server.private import stated_weights
from server.quorum import naming_failures
from server.round_state import AGGREGATOR, STRATEGY, Federation, OpenRound
from server.secure_checks import least_honest
from server.strategies.contract import Aggregate

_WINDOW = 64  # messages of a few kilobytes
_SESSION_BYTES = 16
T = TypeVar("T")


def run_secure_stage(federation: Federation, current: OpenRound, sites: list[str]) -> None:
    """Train ``sites`` from the current weights, and move these on by the mean of those who delivered.

    Raises:
        QuorumError: too few sites are left in a phase, or the sum cannot be used.
    """
    scenario = federation.scenario
    strategy = scenario.federation.strategy
    with naming_failures(current.number, current.failed):
        try:
            opened = _Stage(federation, current).run(sites)
        except UpdateError as error:
            raise QuorumError(str(error)) from error
    current.num_cut = (current.num_cut or 0) + opened.num_cut
    tensors = unflatten(torch.from_numpy(opened.mean.astype(np.float32)), current.weights)
    num_sites, trained = len(scenario.training_sites), trained_entries(scenario)
    aggregate = Aggregate(tensors, {}, {}, len(current.sites), num_sites, trained)
    current.weights, state = strategy(current.weights, aggregate, group(current.state, STRATEGY))
    current.state = prefixed(STRATEGY, state) | prefixed(AGGREGATOR, group(current.state, AGGREGATOR))


@dataclass(eq=False)
class _Stage:
    """The phases of one sum."""

    federation: Federation
    current: OpenRound
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, sites: Sequence[str]) -> Opened:
        """All four phases."""
        scenario, infos = self.federation.scenario, self.federation.roster.infos
        settings = scenario.federation.secure_aggregation
        weights = {site: int(weight) for site, weight in stated_weights(scenario, infos).items()}
        steps = steps_for(settings.bits, settings.clip, sum(weights[site] for site in sites))
        mechanism = scenario.privacy.mechanism
        if isinstance(mechanism, SharedMechanism):
            steps = steps_of(steps.bits, steps.clip, steps.levels, mechanism.step)
        session = self._keys(sites)
        least = max(settings.least_sites(len(session.keys)), least_honest(scenario))
        letters = self._letters(session)
        _require(least, len(letters), "shared keys")
        total = self._masked(session, letters, steps)
        _require(least, len(self.seconds), "delivered")
        protocol.take_off_masks(session, letters, self.seconds, total, self._shares(session, letters))
        return decode(total, steps, sum(weights[site] for site in self.seconds))

    def _keys(self, sites: Sequence[str]) -> Session:
        name, run = secrets.token_bytes(_SESSION_BYTES), self.federation.run
        question = wire.AskKeys(run, name)
        found = self._query(wire.KEYS, sites, lambda _: question, lambda _, reply: wire.take(reply, PublicKeys))
        degree = self.federation.scenario.federation.secure_aggregation.degree(len(found))
        order = random.SystemRandom().sample(sorted(found), len(found))
        return protocol.open_session(name, found, degree, order)

    def _letters(self, session: Session) -> dict[str, dict[str, bytes]]:
        run = self.federation.run

        def read(site: str, reply: RecordDict) -> dict[str, bytes]:
            letters = wire.take(reply, wire.Letters).by_site
            protocol.check_letters(session, site, letters)
            return letters

        ask = lambda site: wire.AskShares(run, session.invitation(site))  # noqa: E731
        return self._query(wire.SHARES, list(session.keys), ask, read)

    def _masked(self, session: Session, letters: protocol.Letters, steps: Steps) -> Ring:
        """The sum of what sites deliver; who did is in ``seconds``."""
        scenario, roster, current = self.federation.scenario, self.federation.roster, self.current
        text = scenario.travelling_text()
        state = group(current.state, STRATEGY)
        packed = messages.pack_weights(current.weights, scenario.federation.strategy.broadcast(state))
        total = np.zeros(num_values(current.weights) + NUM_COUNTS, steps.dtype)

        def content(site: str) -> RecordDict:
            question = wire.AskMasked(session.inbox(site, letters), steps.levels)
            current.bytes_down += messages.num_bytes(packed)
            return wire.put(question, messages.request(text, self.federation.run, current.number, packed))

        def read(site: str, reply: RecordDict) -> None:
            vector, seconds, size = wire.take_vector(reply, total)
            np.add(total, vector, out=total)
            self.seconds[site] = seconds
            releases = wire.stated_releases(reply)
            if releases is not None:
                self.federation.asked_log.answered(current.number, site, releases)
            current.bytes_up += size
            current.sites[site] = SiteRound(seconds=seconds)
            events.emit(events.SiteDone(current.number, site, None))

        if noised_at_site(scenario.privacy.mechanism):
            self.federation.asked_log.ask(current.number, list(letters), roster.infos)
        cost = {site: float(steps_per_round(scenario.training, roster.infos[site].num_train)) for site in letters}
        window = window_size(scenario, current.weights)
        self._ask(wire.MASKED, list(letters), content, read, window, cost)
        return total

    def _shares(self, session: Session, letters: protocol.Letters) -> dict[str, dict[str, bytes]]:
        run = self.federation.run

        def ask(site: str) -> wire.AskShare:
            return wire.AskShare(run, session.name, sorted(session.told(site, letters, self.seconds)))

        def read(site: str, reply: RecordDict) -> dict[str, bytes]:
            shares = wire.take(reply, wire.Letters).by_site
            protocol.check_shares(session, site, letters, shares)
            return shares

        return self._query(wire.OPEN, list(self.seconds), ask, read)

    def _query(
        self, phase: str, sites: Sequence[str], ask: Callable[[str], Any], read: Callable[[str, RecordDict], T]
    ) -> dict[str, T]:
        text = self.federation.scenario.travelling_text()
        return self._ask(phase, sites, lambda site: wire.put(ask(site), messages.introduction(text)), read, _WINDOW, {})

    def _ask(
        self,
        phase: str,
        sites: Sequence[str],
        content: Callable[[str], RecordDict],
        read: Callable[[str, RecordDict], T],
        window: int,
        cost: Mapping[str, float],
    ) -> dict[str, T]:
        """What ``read`` makes of each site's reply in one phase; who fails is told, and is not in it."""
        scenario, current = self.federation.scenario, self.current

        def counted(site: str) -> RecordDict:
            made = content(site)
            current.bytes_down += wire.num_bytes(made)
            return made

        found: dict[str, T] = {}
        for site, reply in exchange(
            self.federation.grid,
            {site: self.federation.roster.nodes[site] for site in sites},
            wire.MESSAGE_TYPES[phase],
            counted,
            round_number=current.number,
            deadline_seconds=scenario.federation.deadline_seconds,
            window=window,
            cost=cost,
        ):
            try:
                if isinstance(reply, Fault):
                    current.fail(reply)
                else:
                    found[site] = read(site, reply)
                    current.bytes_up += wire.num_bytes(reply)
            except UpdateError as error:
                cause = str(error).removeprefix(f"site {site}: ")
                current.fail(Fault(Failure(site=site, code=phase, cause=cause, remedy="is its medfed the same?")))
            self.federation.folder.heed_stop()
        return found


def _require(least: int, found: int, what: str) -> None:
    if found < least:
        raise QuorumError(
            f"secure aggregation: {found} sites {what}, expected {least} at least; nothing of this round was opened"
        )


def cut_warnings(scenario: Scenario, rounds: Sequence[RoundResult]) -> Iterator[str]:
    """Say where values of updates were outside the range of secure aggregation."""
    cut = [(result.round, result.cut_values) for result in rounds if result.cut_values]
    if cut:
        most, number = max((count, number) for number, count in cut)
        clip = scenario.federation.secure_aggregation.clip
        yield (
            f"federation.secure_aggregation.clip = {clip:g}: in {len(cut)} rounds values of updates were larger and "
            f"were cut, {most} of all sites together in round {number}; raise clip"
        )

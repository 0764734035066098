"""One site's account in one run: what may leave, what has left, and what is to be sent again.

The order that makes it safe: the update is noised; its file is on the disk; its row is on the disk; it leaves. A crash
before the row means that nothing left, after it that the file is sent as it is. Only where the file is lost is the
round trained and noised anew, which is one release more, unless it comes out the same to the last bit.

Under noise that sites share (``anew``) nothing is ever sent again: one update in two sums over different sites would be
what they differ by, with its own share of the noise alone. Whoever is asked again noises anew, a release more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from medfed.errors import SiteError
from medfed.types import Update, Weights
from privacy.ledger.budget import Budget
from privacy.ledger.outbox import Outbox, digest, update_digest
from privacy.ledger.store import Ledger
from privacy.release import Release, composition

Work = Callable[[], tuple[Update, float]]
"""Trains, clips and noises; gives the update as it may leave, and seconds."""


class Sent(NamedTuple):
    """What leaves a site; ``releases``: how many of this round its ledger has with it."""

    update: Update
    seconds: float
    releases: int


@dataclass(frozen=True)
class Account:
    """The ledger, what was sent in this run, and the budgets that hold here.

    ``anew``: what was released is not sent again, and is not kept.
    """

    ledger: Ledger
    outbox: Outbox
    run: str
    budgets: Sequence[Budget]
    anew: bool = False

    def released(self, release: Release, weights: Weights, work: Work) -> Sent:
        """What leaves the site in a round: what was released already, or else what ``work`` makes, written down first.

        Args:
            release: what is about to be released.
            weights: which the server sent.
            work: called at most once, and only if the budgets allow for the release.

        Raises:
            PrivacyBudgetError: a budget does not allow for it. LedgerError: the ledger does not hold together.
            SiteError: no accountant knows how it is noised; nothing is trained.
            WriteError: it cannot be written; nothing is released.
        """
        _require_known(release)
        rows = self.ledger.entries()
        of_round = [row.update for row in rows if (row.run, row.release.round) == (self.run, release.round)]
        known = [] if self.anew else of_round
        for sent in reversed(known):
            found = self.outbox.get(release.round, sent)
            if found is not None:
                return Sent(*found, len(of_round))
        self._require([row.release for row in rows], release)
        update, seconds = work()
        sent = update_digest(update) if self.anew else self.outbox.put(release.round, update, seconds)
        if sent not in known:
            self.ledger.add(self.run, release, digest(weights), sent, lambda before: self._require(before, release))
        self.outbox.forget_before(release.round)
        return Sent(update, seconds, len(of_round) + (sent not in known))

    def _require(self, before: Sequence[Release], planned: Release) -> None:
        for budget in self.budgets:
            budget.require(before, planned)


def _require_known(release: Release) -> None:
    try:
        composition((release,))
    except ValueError as error:
        raise SiteError(f"round {release.round}: {error}; nothing was trained") from error

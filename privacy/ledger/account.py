"""One site's account in one run: what may leave, what has left, and what is to be sent again.

The order that makes it safe: the update is noised; its file is on the disk; its row is on the disk; it leaves. A crash
before the row means that nothing left, after it that the file is sent as it is. Only where the file is lost is the
round trained and noised anew, which is one release more, unless it comes out the same to the last bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medfed.types import Update, Weights
from privacy.ledger.budget import Budget
from privacy.ledger.outbox import Outbox, digest
from privacy.ledger.store import Ledger
from privacy.release import Release

Work = Callable[[], tuple[Update, float]]
"""Trains, clips and noises; gives the update as it may leave, and seconds."""


@dataclass(frozen=True)
class Account:
    """The ledger, what was sent in this run, and the budgets that hold here."""

    ledger: Ledger
    outbox: Outbox
    run: str
    budgets: Sequence[Budget]

    def released(self, release: Release, weights: Weights, work: Work) -> tuple[Update, float]:
        """What leaves the site in a round: what was released already, or else what ``work`` makes, written down first.

        Args:
            release: what is about to be released.
            weights: which the server sent.
            work: called at most once, and only if the budgets allow for the release.

        Raises:
            PrivacyBudgetError: a budget does not allow for it. LedgerError: the ledger does not hold together.
            WriteError: it cannot be written; nothing is released.
        """
        rows = self.ledger.of(self.run, release.round)
        for row in reversed(rows):
            found = self.outbox.get(release.round, row.update)
            if found is not None:
                return found
        self._require(self.ledger.releases(), release)
        update, seconds = work()
        sent = self.outbox.put(release.round, update, seconds)
        if sent not in {row.update for row in rows}:
            self.ledger.add(self.run, release, digest(weights), sent, lambda before: self._require(before, release))
        self.outbox.forget_before(release.round)
        return update, seconds

    def _require(self, before: Sequence[Release], planned: Release) -> None:
        for budget in self.budgets:
            budget.require(before, planned)

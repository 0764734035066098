"""Shares of labels that recorded updates betray, as a table of the section on membership."""

import numpy as np

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.results import Cell, Table
from medfed.data.dataset import pool
from privacy.leakage.recorded import LeakageError
from privacy.membership.label_balance import guesses
from privacy.membership.pool import subset

OWN_IMAGES = 400
"""Of the attacker, drawn from the test images."""


def label_shares(context: AuditContext, num_draws: int) -> Table:
    """Shares of labels as read from every recorded update, beside the true ones and beside knowing nothing.

    Raises:
        NotTestedError: the run recorded nothing, or nothing that can be read by itself; or there are no labels.
    """
    if context.task.kind != "classification":
        raise NotTestedError("of images with masks, not asked")
    own = pool([context.site(name) for name in context.sites]).test
    chosen = np.zeros(len(own), dtype=bool)
    chosen[context.numpy_generator("membership", "own images").permutation(len(own))[:OWN_IMAGES]] = True
    try:
        found = list(guesses(context, subset(own, chosen), num_draws))
    except LeakageError as reason:
        raise NotTestedError(str(reason)) from reason
    if not found:
        raise NotTestedError("the run recorded no updates; set record.rounds, such as [1, -1], and run it again")
    middle = np.mean([guess.true for guess in found], axis=0)
    rows: list[tuple[Cell, ...]] = []
    for guess in found:
        error, blind = (float(np.abs(read - guess.true).max()) for read in (guess.guessed, middle))
        row = guess.site, str(guess.round), _text(guess.true), _text(guess.guessed), round(error, 3), round(blind, 3)
        rows.append(row)
    errors = [float(np.mean([row[column] for row in rows])) for column in (4, 5)]
    rows.append(("mean", "", "", "", *(round(error, 3) for error in errors)))
    return Table(
        title="What a server with images of its own reads from an update: a site's shares of labels "
        f"({', '.join(context.task.classes)})",
        columns=("Site", "Round", "True", "Read", "Largest error", "Largest error without the update"),
        rows=tuple(rows),
    )


def _text(shares: np.ndarray) -> str:
    return ", ".join(f"{share:.0%}" for share in shares)

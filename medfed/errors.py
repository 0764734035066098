"""Errors that a user can mend.

Each message has one line per fault, which says what is wrong, where (file, key, row, site), what was expected,
what was got and what to do. Misuse in code raises ``ValueError``; invariants of our own are ``assert``.
"""


class MedfedError(Exception):
    """Base of every error that a user can mend; ``exit_code`` is what the command line ends with."""

    exit_code = 2


class ScenarioError(MedfedError):
    """The scenario file, or an override of it, says something that cannot run."""


class DeviceError(MedfedError):
    """The device that was asked for is not there, or cannot do what the scenario asks."""


class DataError(MedfedError):
    """Images, masks or the manifest are not as they must be."""


class RunFolderError(MedfedError):
    """The folder of a run exists already, is damaged, or cannot be written."""


class WriteError(MedfedError):
    """A file cannot be written: the disk is full, read-only, or gone. Nothing that was finished is lost."""

    exit_code = 4


class SiteError(MedfedError):
    """A site could not do its part of a round."""

    exit_code = 4


class DivergedError(SiteError):
    """The training loss at a site is no longer finite."""


class RefusedError(SiteError):
    """A site's own policy forbids what was asked of it; nothing was done."""


class PrivacyBudgetError(SiteError):
    """A release would cost more than the site's budget has left, or has no noise for the unit of that budget."""


class LedgerError(SiteError):
    """The ledger of a site is damaged, or was changed by another hand."""


class UpdateError(SiteError):
    """What a site sent cannot be folded into the global model."""


class QuorumError(MedfedError):
    """Too few sites answered for a round to count."""

    exit_code = 4


class StopRequested(Exception):  # noqa: N818 - a request, not a fault
    """The user asked to stop; raised by a listener and honoured at the next safe point."""

    def __init__(self, reason: str, exit_code: int = 130) -> None:
        super().__init__(reason)
        self.exit_code = exit_code

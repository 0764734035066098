"""What inversion refuses."""

from medfed.errors import MedfedError


class InversionError(MedfedError):
    """An inversion cannot be run on this update, model or task; the message says what would work."""

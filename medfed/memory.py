"""Memory of this process that nobody uses goes back to the system."""

import ctypes


def return_freed() -> None:
    """Give back what the C library keeps of freed memory.

    Between arrays that live, glibc keeps the pages of those that are freed, and a small object in such a gap is enough
    for the next array not to fit: a process that frees one model a round would grow by another. Only glibc knows the
    call; elsewhere nothing happens.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

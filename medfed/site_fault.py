"""How a site's fault travels: one line with a code, the kind of exception and a remedy, never its text.

The text of an exception may hold names of files or patients. Flower wraps the line in words of its own, so that it is
looked for, not compared.
"""

import re
from typing import NamedTuple

_FORM = re.compile(r"site .{1,200}?: ([a-z]{1,20}) error \((\w{1,60})\); (.{1,200}?)(?:'>)?$")  # Flower ends with '>


class SiteFault(NamedTuple):
    """A fault at a site; ``kind`` is the exception's class, ``remedy`` what to do, in one line."""

    code: str
    kind: str
    remedy: str

    @property
    def cause(self) -> str:
        """For people."""
        return f"{self.code} error ({self.kind})"


def line(site: str, fault: SiteFault) -> str:
    """``fault`` as it leaves ``site``."""
    return f"site {site}: {fault.cause}; {fault.remedy}"


def read(reason: str) -> SiteFault | None:
    """The inverse of :func:`line`; None where ``reason`` is somebody else's."""
    found = _FORM.search(reason.partition("\n")[0])
    return SiteFault(*found.groups()) if found else None

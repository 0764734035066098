"""The audit: a finished run in, findings with verdicts out. ``medfed.audit(RUN)`` is :func:`medfed.audit.run.audit`.

The package is callable, since its name is that of the function in the public interface: Python puts a subpackage into
its parent under its own name, in the place of whatever stood there.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, run: str | Path, **settings: Any) -> Any:
        """:func:`medfed.audit.run.audit`."""
        from medfed.audit.run import audit

        return audit(run, **settings)


sys.modules[__name__].__class__ = _CallablePackage

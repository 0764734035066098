"""Faults at a site: the full text stays in the site's log, a code and a remedy leave."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from flwr.app import Context

from client.site import site_name
from medfed.config import Scenario
from medfed.errors import (
    DataError,
    DeviceError,
    DivergedError,
    LedgerError,
    MedfedError,
    PrivacyBudgetError,
    RefusedError,
    SiteError,
    WriteError,
)
from medfed.site_fault import SiteFault, line

log = logging.getLogger(__name__)

_REMEDIES: tuple[tuple[type[BaseException], str, str], ...] = (
    (DataError, "data", "run `medfed data check MANIFEST` at the site"),
    (MemoryError, "memory", "lower training.batch_size or data.image_size"),
    (torch.OutOfMemoryError, "memory", "lower training.batch_size, data.image_size or the workers that share a GPU"),
    (DeviceError, "device", "give the device of this site's node configuration that it has, or none for the CPU"),
    (DivergedError, "divergence", "lower training.optimizer.lr"),
    (WriteError, "disk", "make room on the site's disk"),
    (ImportError, "import", "install at the site what the plug-in imports, see the log of the site"),
    (PrivacyBudgetError, "budget", "its privacy budget allows for no more: `medfed privacy ledger` at the site"),
    (LedgerError, "ledger", "run `medfed privacy verify` at the site"),
    (RefusedError, "refused", "its own policy forbids this round, see the log of the site"),
    (SiteError, "site", "see the log of the site"),
    (Exception, "exception", "see the log of the site"),
)


@contextmanager
def reported(context: Context, scenario: Scenario) -> Iterator[None]:
    """Turn any fault inside the block into a :class:`SiteError` that is safe to send.

    The cause stays attached, so that a simulation, which runs on one machine, can show the traceback.
    """
    try:
        yield
    except Exception as fault:
        code, remedy = next((code, remedy) for cls, code, remedy in _REMEDIES if isinstance(fault, cls))
        try:
            site = site_name(context, scenario)
        except MedfedError:
            site = f"node {context.node_id}"
        log.exception("site %s failed", site)
        raise SiteError(line(site, SiteFault(code, type(fault).__name__, remedy))) from fault

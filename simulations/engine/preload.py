"""Imports all that the first message or baseline would import; the fork server imports this module, and then forks."""

from importlib import import_module

from medfed.registry import KINDS

_MODULES = (
    "torch._dynamo",
    "client.app",
    "simulations.baselines.crew",
    "client.batch",
    "simulations.engine.worker",
)  # the first: by an optimizer's step

for _module in (*_MODULES, *(table.partition(":")[0] for table in KINDS.values())):
    import_module(_module)

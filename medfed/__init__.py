"""medfed: federated training of medical image models, with evidence of whether the result is safe to use.

The public interface is loaded on demand, so that ``medfed --help`` does not import torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medfed.config import Scenario, load_scenario
    from medfed.results import RunResult

__version__ = "0.1.0"
__all__ = ["RunResult", "Scenario", "audit", "load_scenario", "simulate"]

_PUBLIC = {
    "load_scenario": "medfed.config:load_scenario",
    "Scenario": "medfed.config:Scenario",
    "RunResult": "medfed.results:RunResult",
    "simulate": "simulations.run:simulate",
    "audit": "medfed.audit.run:audit",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from medfed.registry import resolve

        return resolve(_PUBLIC[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""What must hold before an attack of torchattacks is run on a model; each fault is one line with the way out."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from robustness.attacks.bench import Bench
from robustness.attacks.objective import ANY
from robustness.attacks.projection import Bounds
from robustness.attacks.torchattacks_guard.catalogue import Entry
from robustness.attacks.torchattacks_guard.package import Option, refusal


def eps_of_unit_images(name: str, entry: Entry, bench: Bench) -> float:
    """Eps for images scaled to [0, 1]; positions for l0.

    Raises:
        AttackError: torchattacks has one eps for all channels, and here they would differ.
    """
    bounds = Bounds.of(bench.threat, bench.images)
    if bounds.norm == "l0":
        return bounds.eps
    widths = ((bounds.high - bounds.low) * bounds.per_unit).flatten()
    if not torch.allclose(widths, widths[0], rtol=1e-5):
        reason = f"expected one eps for all channels; over the range they are {_list(bounds.eps / widths)}"
        raise refusal(name, bench.threat, reason, entry.instead)
    return bounds.eps / float(widths[0])


def require_served(name: str, entry: Entry, bench: Bench, options: Mapping[str, Option], max_bytes: int) -> None:
    """Refuse what the attack would do wrongly, in silence, or not at all.

    Raises:
        AttackError: the first fault, with the reason and what of ours serves instead.
    """
    for reason in _faults(name, entry, bench, options, max_bytes):
        if reason:
            raise refusal(name, bench.threat, reason, entry.instead)


def _faults(name: str, entry: Entry, bench: Bench, options: Mapping[str, Option], max_bytes: int) -> list[str]:
    return [
        _norm(entry, bench),
        _eps(entry, bench),
        _decisions(entry, bench),
        _choices(entry, bench, options),
        _goal(entry, bench),
        _axes(entry, bench),
        _memory(name, bench, max_bytes),
    ]


def _norm(entry: Entry, bench: Bench) -> str:
    norm = bench.threat.norm
    return "" if norm in entry.norms else f"expected norm {' or '.join(entry.norms)}; got {norm}"


def _eps(entry: Entry, bench: Bench) -> str:
    return "expected a finite eps; got infinity" if entry.bound and math.isinf(bench.threat.eps) else ""


def _decisions(entry: Entry, bench: Bench) -> str:
    units = bench.objective.labels.shape[1]
    if units == 1 or entry.many_decisions:
        return ""
    return f"expected one decision per image; {bench.oracle.head} makes {units}"


def _choices(entry: Entry, bench: Bench, options: Mapping[str, Option]) -> str:
    choices, least, reason = bench.clean_scores.shape[1], entry.least_choices, entry.reason
    if options.get("loss") == "dlr":
        least, reason = max(3, least), "the DLR loss divides by z_1 - z_3"
    return "" if choices >= least else f"expected {least} classes or more ({reason}); got {choices}"


def _goal(entry: Entry, bench: Bench) -> str:
    objective, goal = bench.objective, bench.threat.goal
    aimed = bool((objective.targets[objective.active] != ANY).any())
    if aimed and not entry.targeted:
        return f'cannot be driven to given choices, as goal "{goal}" asks'
    if entry.labels_unused and goal != "untargeted":
        return f'looks at no label, and goal "{goal}" is about some of them'
    return ""


def _axes(entry: Entry, bench: Bench) -> str:
    channels, *space = bench.images.shape[1:]
    if entry.plane and len(space) != 2:
        return f"expected images (batch, channel, height, width), as {entry.reason}; got {len(space)} axes in space"
    if entry.colour and channels not in (1, 3):
        return f"its kernels are for 1 or 3 channels; got {channels}"
    return ""


def _memory(name: str, bench: Bench, max_bytes: int) -> str:
    """JSMA scores every pair of values: eight tables of that size in float32 at once."""
    needed = 8 * 4 * bench.images[0].numel() ** 2
    if name != "JSMA" or needed <= max_bytes:
        return ""
    return (
        f"it scores every pair of pixels and needs {needed / 2**30:.1f} GiB; max_bytes allows {max_bytes / 2**30:.1f}"
    )


def _list(values: Float[Tensor, " channel"]) -> str:
    return ", ".join(f"{value:.4g}" for value in values.tolist())

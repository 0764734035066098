"""torchattacks itself: found or not, which attack, and told the bound in its own words."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import nn

from medfed.registry import table
from robustness.attacks.contract import AttackError
from robustness.attacks.threat import ThreatModel
from robustness.attacks.torchattacks_guard.catalogue import CATALOGUE, REFUSED, Entry

Option = bool | int | float | str

NORMS = {"linf": "Linf", "l2": "L2"}
"""How torchattacks names the norms of attacks that have several."""

OWNED = ("model", "norm", "n_classes", "seed", "verbose", "eps", "max_epsilon", "pixels", "gamma")
"""Arguments that follow from the model, the threat model and the seed; nobody else sets them."""

_BOUNDS: dict[str, Callable[[float, int], Option]] = {
    "eps": lambda eps, num_values: eps,
    "max_epsilon": lambda eps, num_values: eps,
    "pixels": lambda eps, num_values: max(1, int(eps)),
    "gamma": lambda eps, num_values: 2 * (int(eps) // 2) / num_values,  # JSMA changes two values at a time
}
"""The bound in the argument of each name, from eps (of the [0, 1] image, or positions) and the values per image."""


def torchattacks() -> ModuleType:
    """The installed package.

    Raises:
        AttackError: it is not installed.
    """
    try:
        return import_module("torchattacks")
    except ImportError as error:
        raise AttackError(
            f"torchattacks cannot be imported ({error}): expected release 3.3.0 or 3.5.1 (pip install --no-deps "
            f"torchattacks==3.5.1, and tqdm); without it use {', '.join(sorted(table('attack')))}"
        ) from error


def refusal(name: str, threat: ThreatModel, reason: str, instead: tuple[str, ...]) -> AttackError:
    """The one line that says why an attack is not run, and what of ours serves."""
    ours = table("attack")
    serving = [attack for attack in instead if attack in ours and threat.norm in ours[attack].norms]
    serving = serving or sorted(attack for attack, cls in ours.items() if threat.norm in cls.norms)
    use = f"use {' or '.join(serving)}" if serving else f"no attack of ours serves norm {threat.norm} yet"
    return AttackError(f'torchattacks "{name}": {reason}; {use}')


def entry_of(name: str, package: ModuleType, threat: ThreatModel) -> Entry:
    """The catalogue's entry for ``name``.

    Raises:
        AttackError: never run, unknown, or not in this release.
    """
    if name in REFUSED:
        raise refusal(name, threat, *REFUSED[name])
    if name not in CATALOGUE:
        raise AttackError(f'torchattacks "{name}": expected one of {", ".join(CATALOGUE)}')
    if not hasattr(package, name):
        release = getattr(package, "__version__", "?")
        raise refusal(name, threat, f"release {release} lacks it (3.5.1 has it)", CATALOGUE[name].instead)
    return CATALOGUE[name]


def build(
    package: ModuleType,
    name: str,
    model: nn.Module,
    options: Mapping[str, Option],
    *,
    threat: ThreatModel,
    eps: float,
    num_values: int,
    num_choices: int,
    seed: int,
) -> Any:
    """The attack, with bound, norm, classes and seed filled in; its step keeps the ratio to eps of its defaults.

    Raises:
        AttackError: an option does not exist, or is not the caller's to set.
    """
    entry, cls = CATALOGUE[name], getattr(package, name)
    known = inspect.signature(cls.__init__).parameters
    free = [argument for argument in known if argument not in ("self", *OWNED)]
    wrong = sorted(set(options) - set(free))
    if wrong:
        raise AttackError(f'torchattacks "{name}": option {wrong[0]} expected one of {", ".join(free)}')
    filled: dict[str, Option] = {}
    if entry.bound is not None:
        filled[entry.bound] = _BOUNDS[entry.bound](eps, num_values)
    if entry.bound == "eps" and "alpha" in known:
        filled["alpha"] = known["alpha"].default / known["eps"].default * eps
    given: dict[str, Option] = {"norm": NORMS.get(threat.norm, ""), "n_classes": num_choices, "seed": seed}
    filled |= {argument: value for argument, value in given.items() if argument in known}
    return cls(model, **(filled | dict(options)))

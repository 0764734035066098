"""What is attacked: networks, cells of the grid, defences and the attackers that know of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from medfed.config import Scenario, load_scenario
from privacy.inversion.contract import Inversion
from privacy.inversion.grad_inversion import GradInversion
from privacy.inversion.inverting_gradients import InvertingGradients
from simulations.benchmarks.bundled import SCENARIOS

Norm = Literal["group", "batch", "frozen"]
Held = Literal["all", "batch"]

_PLAIN: Mapping[str, Any] = {
    "training.precision": "float32",
    "training.schedule": "constant",
    "training.transforms": (),
    "baselines.local": False,
    "baselines.pooled": False,
    "record.rounds": (),
}
"""Nothing that an attacker would have to simulate beside mini-batch descent."""

NETS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "pneumonia": ("pneumonia-cnn", {"data.image_size": 28}),
    "skin": ("skin-cnn", {"data.image_size": 32, "training.loss": {"name": "cross_entropy"}}),
    "nuclei": ("nuclei-unet", {"data.image_size": 32, "model.width": 8, "model.depth": 2}),
}
"""Bundled scenario, and what makes its images small enough for many attacks."""

BATCHES, STEPS = (1, 4, 8), (1, 5, 20)
NORMS: tuple[Norm, ...] = ("group", "batch", "frozen")
ROUNDS = 6
"""Of the runs that train a network, whatever their scenario says; 20 steps of its own batches at each site."""

NOISE = (1e-3, 1e-2, 1.0)
"""Noise multipliers: from far too little for any useful epsilon to a private run's."""


@dataclass(frozen=True)
class Cell:
    """One row of the grid.

    Attributes:
        net: of :data:`NETS`.
        norm: of the network; ``frozen``: BatchNorm in evaluation mode throughout, ``batch``: in training mode.
        rounds: of training before the recorded one; 0: untrained.
        batch: images per step.
        steps: of local training.
        held: ``batch``: the site holds no more images than one batch, so that every step sees the same ones.
        defence: of :data:`DEFENCES`.
        attacker: of :data:`ATTACKERS`.
    """

    net: str = "pneumonia"
    norm: Norm = "group"
    rounds: int = 0
    batch: int = 1
    steps: int = 1
    held: Held = "all"
    defence: str = "none"
    attacker: str = "plain"

    def scenario(self) -> Scenario:
        """As the site trains in the recorded round: SGD, whose change of one step is the gradient."""
        optimizer = {"name": "sgd", "lr": RATE}
        local = {"training.batch_size": self.batch, "training.local_steps": self.steps, "training.local_epochs": None}
        changes = {**local, "training.optimizer": optimizer, **DEFENCES[self.defence].message}
        return base(self.net, self.norm).replace(**changes)


RATE = 0.1
"""Learning rate of the recorded round."""


@dataclass(frozen=True)
class Defence:
    """What a site or the server switches on.

    Attributes:
        message: changes of the scenario in the recorded round.
        run: changes in the run whose score is the utility; they differ from ``message`` where a bound must be near the
            length of what it bounds, and updates of many steps are longer.
        adaptive: attackers that know of it, beside the plain one.
        cell: other fields of the cell.
        summed: only the sum over the sites is seen.
    """

    message: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    adaptive: tuple[str, ...] = ()
    cell: Mapping[str, Any] = field(default_factory=dict)
    summed: bool = False


def _noised(multiplier: float) -> Defence:
    message = {"name": "local", "clip": RATE, "noise_multiplier": multiplier}
    run = {"name": "local", "clip": 1.0, "noise_multiplier": multiplier}
    return Defence({"privacy.mechanism": message}, {"privacy.mechanism": run}, ("smooth",))


def _private(multiplier: float) -> Defence:
    mechanism = {"privacy.mechanism": {"name": "dp_sgd", "clip": 1.0, "noise_multiplier": multiplier}}
    return Defence(mechanism, mechanism, ("smooth",), {"held": "batch"})


def _compressed(adaptive: tuple[str, ...], **compression: Any) -> Defence:
    change = {"federation.compression": compression}
    return Defence(change, change, adaptive)


def _work(batch: int, steps: int, run: Mapping[str, Any]) -> Defence:
    return Defence(run=run, cell={"batch": batch, "steps": steps})


DEFENCES: Mapping[str, Defence] = {
    "none": Defence(),
    **{f"clip and noise {z:g}": _noised(z) for z in NOISE},
    **{f"dp_sgd, noise {z:g}": _private(z) for z in NOISE[1:]},
    "top_k 10 %": _compressed(("masked",), name="top_k", share=0.1),
    "top_k 1 %": _compressed(("masked",), name="top_k", share=0.01),
    "float16": _compressed((), name="float16"),
    "int8": _compressed(("masked",), name="int8"),
    "batch of 4": _work(4, 1, {"training.batch_size": 4}),
    "batch of 8": _work(8, 1, {"training.batch_size": 8}),
    "5 steps": _work(1, 5, {"training.local_steps": 5, "training.rounds": 4 * ROUNDS}),
    "20 steps": _work(1, 20, {}),
    "BatchNorm averaged": Defence(adaptive=("statistics",), cell={"norm": "batch"}),
    "BatchNorm withheld": Defence(
        {"federation.batch_norm": "local"}, {"federation.batch_norm": "local"}, (), {"norm": "batch"}
    ),
    "secure aggregation": Defence(
        run={"federation.secure_aggregation": {"name": "secagg_plus"}, "record.rounds": ()},
        adaptive=("all sites",),
        summed=True,
    ),
}
"""Name in the table -> defence."""


@dataclass(frozen=True)
class Attacker:
    """An attack and what it knows. ``labels``: classes or masks; ``slots``: images that it looks for; None: all."""

    attack: Inversion
    labels: bool = False
    slots: int | None = None


ATTACKERS: Mapping[str, Attacker] = {
    "plain": Attacker(InvertingGradients()),
    "signed": Attacker(InvertingGradients(signed=True)),
    "smooth": Attacker(InvertingGradients(total_variation=0.2)),
    "masked": Attacker(InvertingGradients(mask_zeros=True)),
    "statistics": Attacker(GradInversion(restarts=1, signed=False, step=0.05, group=0.0)),
    "told": Attacker(InvertingGradients(), labels=True),
    "one image": Attacker(InvertingGradients(), slots=1),
    "all sites": Attacker(InvertingGradients()),
}
"""Name in the table -> attacker. ``smooth`` expects noise, ``masked`` entries that were left out or rounded to zero."""


def base(net: str, norm: Norm) -> Scenario:
    """The network's scenario without a defence."""
    name, changes = NETS[net]
    layers = {} if norm == "group" else {"model.norm": "batch"}
    kept = {"group": None, "batch": "average", "frozen": "frozen"}[norm]
    policy = {"federation.batch_norm": kept} if kept else {}
    found: Scenario = load_scenario(SCENARIOS / f"{name}.toml").replace(**_PLAIN, **changes, **layers, **policy)
    return found


def training_run(net: str, norm: Norm, defence: str) -> Scenario:
    """What trains the network, with the defence; the weights of every round are kept."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{net}-{norm}-{defence}".lower())
    local = {"training.rounds": ROUNDS, "training.local_steps": 20, "training.local_epochs": None}
    recorded = {"record.rounds": tuple(range(1, ROUNDS + 1)), "name": name}
    return base(net, norm).replace(**local | recorded | dict(DEFENCES[defence].run))


def small(nets: Sequence[str]) -> Iterator[Cell]:
    """A first look: each axis on its own."""
    for net in nets:
        start = Cell(net)
        yield start
        yield from (replace(start, batch=batch) for batch in BATCHES[1:])
        yield from (replace(start, norm=norm) for norm in NORMS[1:])
        yield from (replace(start, rounds=rounds) for rounds in (ROUNDS, 1, 3))
        yield from (replace(start, steps=steps) for steps in STEPS[1:])


def full(nets: Sequence[str]) -> Iterator[Cell]:
    """All combinations."""
    for net in nets:
        for norm in NORMS:
            for rounds in (0, ROUNDS):
                yield from (Cell(net, norm, rounds, batch, steps) for batch in BATCHES for steps in STEPS)


def defended(net: str, name: str) -> dict[str, Cell]:
    """Attacker -> cell: of one who takes a defence for absent, and of those who know of it.

    A defence that changes only how much is trained on is the cell of the grid with so much.
    """
    defence = DEFENCES[name]
    unaware = "one image" if defence.summed else "plain"
    label = name if defence.message or defence.summed else "none"
    return {
        attacker: Cell(net, defence=label, attacker=attacker, **defence.cell)
        for attacker in (unaware, *defence.adaptive)
    }

"""One cell: record its messages, attack them, measure."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medfed.config import Scenario
from medfed.data.dataset import Dataset
from medfed.models.initial import initial_weights
from medfed.params import load_weights
from medfed.rng import numpy_generator
from medfed.types import SiteData, Weights
from privacy.inversion.observation import Observation
from privacy.inversion.settings import InversionSettings
from privacy.inversion.threat import Knowledge
from privacy.leakage.observed import observe, within_reach
from privacy.leakage.recorded import read_recorded
from privacy.leakage.trial import Measured, Trial, attack_message, pick_targets
from privacy.leakage.truth import Decoys, Truth, decoys_of, truth_of
from privacy.membership.pool import subset
from simulations.benchmarks.leakage.plan import ATTACKERS, DEFENCES, Attacker, Cell
from simulations.benchmarks.leakage.recording import record
from simulations.inputs import check_inputs

SLOTS, MOST_STEPS, DECOYS = 8, 20, 99
"""Most images and steps that are simulated; beyond, an update is taken for the direction of a step on so many images.
Line-ups are of a hundred."""

_LINE_UPS = "training and validation images first"
"""Figures of other line-ups are not taken for these."""


@dataclass(frozen=True)
class Limits:
    """What a cell may cost: messages, most images measured of each, evaluations of each attack."""

    messages: int = 3
    targets: int = 8
    iterations: int = 300
    seed: int = 1


@dataclass(frozen=True, eq=False)
class _Message:
    """What is there to know of a message, and of whom it is."""

    full: Observation
    truth: Truth
    decoys: Decoys


def run(cell: Cell, limits: Limits, model: Path | None) -> dict[str, Any]:
    """Attack the cell's messages.

    Args:
        cell: what is recorded and attacked.
        limits: how much.
        model: file of the weights from which the update starts; None: untrained ones.

    Returns:
        Figures of every measured image, as they are kept: ``images`` (one entry each), ``messages``, ``whole``
        (messages whose whole training was simulated), ``people`` (in the shortest line-up), ``labels`` (share of
        classes named rightly), ``cpu_seconds``.
    """
    scenario, dataset = check_inputs(cell.scenario().replace(seed=limits.seed))
    weights = load_weights(model) if model is not None else initial_weights(scenario)
    attacker, started = ATTACKERS[cell.attacker], time.process_time()
    images: list[dict[str, Any]] = []
    trials: list[tuple[Trial, bool]] = []
    with tempfile.TemporaryDirectory() as folder:
        used: set[str] = set()
        for number, message in enumerate(islice(_messages(Path(folder), cell, scenario, dataset, weights), 50)):
            draws = numpy_generator(limits.seed, "leakage", number)
            targets = pick_targets(message.truth, limits.targets, used, draws)
            if targets:
                shown, whole = _shown(message.full, scenario, attacker, summed=DEFENCES[cell.defence].summed)
                measured = Measured(message.truth, targets, message.decoys, DECOYS)
                settings = InversionSettings(seed=limits.seed, max_iterations=limits.iterations)
                trial = attack_message(shown, measured, attacker.attack, settings, draws)
                trials.append((trial, whole))
                images += [asdict(score) | {"message": number} for score in trial.scores]
            if len(trials) == limits.messages:
                break
    labels = [trial.labels for trial, _ in trials if trial.labels is not None]
    return {
        "images": images,
        "messages": len(trials),
        "whole": sum(whole for _, whole in trials),
        "people": 1 + min((trial.num_decoys for trial, _ in trials), default=0),
        "labels": float(np.mean(labels)) if labels else None,
        "distance": float(np.mean([trial.found.loss for trial, _ in trials])),
        "cpu_seconds": time.process_time() - started,
    }


def _messages(folder: Path, cell: Cell, scenario: Scenario, dataset: Dataset, weights: Weights) -> Iterator[_Message]:
    """One after the other: of each site in turn, of round 1, 2, ...; or the sum over the sites of each round."""
    sites = [_held(dataset.site(name), cell, scenario.seed) for name in scenario.training_sites]
    for number in count(1):
        record(folder, scenario, weights, sites, number)
        found = (_message(folder, scenario, data, number) for data in sites)
        if DEFENCES[cell.defence].summed:
            yield summed(list(found))
        else:
            yield from found


def _held(data: SiteData, cell: Cell, seed: int) -> SiteData:
    """The site with all its training images, or with as many as make a batch."""
    if cell.held == "all":
        return data
    chosen = np.zeros(len(data.train), dtype=bool)
    chosen[numpy_generator(seed, "leakage", data.site).permutation(len(data.train))[: cell.batch]] = True
    return replace(data, train=subset(data.train, chosen))


def _message(folder: Path, scenario: Scenario, data: SiteData, number: int) -> _Message:
    recorded = read_recorded(folder, scenario, number, data.site)
    truth = truth_of(scenario, recorded, data)
    decoys = decoys_of(data, truth, (), 1000, numpy_generator(scenario.seed, "decoys", number, data.site), DECOYS)
    return _Message(observe(scenario, recorded, truth, data), truth, decoys)


def summed(messages: Sequence[_Message]) -> _Message:
    """What secure aggregation shows of a round: the mean change of all sites, on all their images.

    Of one step each with as many images at every site, that is the step on all of them together.
    """
    first, truths = messages[0].full, [message.truth for message in messages]
    changes = [message.full.change for message in messages]
    mean = {name: torch.stack([change[name] for change in changes]).mean(0) for name in first.change}
    truth = Truth(
        torch.cat([each.images for each in truths]),
        torch.cat([each.labels for each in truths]),
        np.concatenate([each.positions for each in truths]),
        np.concatenate([each.rows for each in truths]),
        tuple(patient for each in truths for patient in each.patients),
    )
    pools = [message.decoys for message in messages]
    decoys = Decoys(torch.cat([each.images for each in pools]), tuple(p for each in pools for p in each.patients))
    full = first.replace(change=mean, num_examples=len(truth), batch_size=len(truth), labels=truth.labels)
    return _Message(full, truth, decoys)


def _shown(full: Observation, scenario: Scenario, attacker: Attacker, *, summed: bool) -> tuple[Observation, bool]:
    """What the attacker works with, and whether that is all images and steps."""
    seen = Knowledge(labels=attacker.labels, masks=attacker.labels).restrict(full)
    if attacker.slots is not None:
        images = min(attacker.slots, full.num_examples)
        few = seen.replace(num_examples=images, batch_size=images, local_steps=1, optimizer=None, labels=None)
        return few, False
    if summed:
        return seen, full.local_steps == 1
    shown = within_reach(seen, scenario, SLOTS, MOST_STEPS)
    return shown.observation, shown.whole


def key(cell: Cell, limits: Limits) -> dict[str, Any]:
    """What a finished cell is known by."""
    return {"cell": asdict(cell), "limits": asdict(limits), "line_ups": _LINE_UPS}

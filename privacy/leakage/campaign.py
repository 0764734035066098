"""Which recorded messages an audit attacks, and the attacks themselves, beside their control."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from medfed.audit.contract import AuditContext, NotTestedError
from privacy.inversion.contract import Inversion
from privacy.inversion.engine import Progress
from privacy.inversion.observation import Observation
from privacy.inversion.row_space import same_for_all
from privacy.inversion.settings import InversionSettings
from privacy.inversion.threat import Knowledge
from privacy.leakage.control import undefended
from privacy.leakage.observed import Shown, observe, within_reach
from privacy.leakage.recorded import LeakageError, Recorded, UnmaskedError, read_recorded, recorded_messages
from privacy.leakage.trial import Measured, Trial, attack_message, pick_targets
from privacy.leakage.truth import decoys_of, transforms_of, truth_of

_MOST_DECOYS = 1000
"""Drawn once for a message; each line-up draws from them."""


@dataclass(frozen=True)
class Bounds:
    """How much is attacked, and what the attacker knows.

    Attributes:
        targets: images of an update that are measured, one of a patient.
        slots: most images that are looked for in an update.
        most_steps: most local steps that are simulated.
        decoys: most images in a line-up beside the true one.
        control_images: undefended updates.
        max_iterations: of the attack, for each update.
        knowledge: what is granted.
    """

    targets: int
    slots: int
    most_steps: int
    decoys: int
    control_images: int
    max_iterations: int
    knowledge: Knowledge


@dataclass(frozen=True, eq=False)
class Attacked:
    """A message before and after the attack.

    Attributes:
        recorded: the message.
        full: everything that there is to know of it.
        shown: what the attacker saw.
        measured: images that are looked for, and decoys.
        tried: what the attack came to on it (:func:`privacy.inversion.row_space.same_for_all`).
        trial: the outcome.
    """

    recorded: Recorded
    full: Observation
    shown: Shown
    measured: Measured
    tried: Inversion
    trial: Trial


def attack_messages(context: AuditContext, bounds: Bounds, attack: Inversion, limit: int) -> list[Attacked]:
    """Attack at most ``limit`` messages of honest sites, drawn by the seed; no patient is measured twice.

    Raises:
        NotTestedError: there is none that can be attacked; the message says why.
        UnmaskedError: an update is masked in part.
    """
    honest = set(context.scenario.training_sites) - set(context.scenario.malicious_sites)
    messages = [(number, site) for number, site in recorded_messages(context.folder) if site in honest]
    if not messages:
        raise NotTestedError("the run recorded no updates; set record.rounds, such as [1, -1], and run it again")
    order = context.numpy_generator("gradient_inversion", "messages").permutation(len(messages))
    chosen = sorted(messages[index] for index in order[:limit])
    used: set[str] = set()
    found = []
    for position, (number, site) in enumerate(chosen):
        what = f"rebuilding images of {site}, round {number}"
        context.progress(what, position / (len(chosen) + 1))
        try:
            ready = prepare(context, bounds, number, site, used)
        except UnmaskedError:
            raise
        except LeakageError as reason:
            raise NotTestedError(str(reason)) from reason
        if ready is not None:
            found.append(attack_ready(context, bounds, attack, ready))
    if not found:
        raise NotTestedError("no patient of a recorded update could be measured")
    return found


Ready = tuple[Recorded, Observation, Shown, Measured]


def prepare(context: AuditContext, bounds: Bounds, number: int, site: str, used: set[str]) -> Ready | None:
    """A message as the attacker sees it, and what will be measured; None where all its patients are in ``used``.

    Raises:
        LeakageError: it cannot be attacked.
    """
    scenario = context.scenario
    recorded = read_recorded(context.folder, scenario, number, site)
    data = context.site(site)
    truth = truth_of(scenario, recorded, data)
    generator = context.numpy_generator("gradient_inversion", number, site)
    targets = pick_targets(truth, bounds.targets, used, generator)
    if not targets:
        return None
    decoys = decoys_of(data, truth, transforms_of(scenario), _MOST_DECOYS, generator, bounds.decoys)
    full = observe(scenario, recorded, truth, data)
    shown = within_reach(bounds.knowledge.restrict(full), scenario, bounds.slots, bounds.most_steps)
    return recorded, full, shown, Measured(truth, targets, decoys, bounds.decoys)


def attack_ready(
    context: AuditContext,
    bounds: Bounds,
    attack: Inversion,
    ready: Ready,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Attacked:
    """Attack one message; ``progress`` and ``stop`` as in :func:`privacy.inversion.engine.run_inversion`."""
    recorded, full, shown, measured = ready
    generator = context.numpy_generator("gradient_inversion", "line-ups", recorded.round, recorded.site)
    settings = settings_of(context, bounds)
    trial = attack_message(shown.observation, measured, attack, settings, generator, progress, stop)
    return Attacked(recorded, full, shown, measured, same_for_all(attack, [shown.observation]), trial)


@dataclass(frozen=True, eq=False)
class Control:
    """An undefended update of one image: the message whose weights and image it has, and what came out."""

    message: Attacked
    trial: Trial


def control_trials(
    context: AuditContext,
    bounds: Bounds,
    attack: Inversion,
    attacked: list[Attacked],
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> list[Control]:
    """The same attack on undefended updates of one image each: of those measured, one message after the other.

    What the attack came to on any of the messages is what is tried here: that single images are solved by algebra says
    nothing of updates on which only a descent was tried. An attack that ``stop`` cut short says nothing of what the
    attack can do: it is left out, and is the last.
    """
    attack = next((message.tried for message in attacked if message.tried != attack), attack)
    found = []
    for position, (message, index) in enumerate(_in_turn(attacked, bounds.control_images)):
        context.progress("rebuilding images of the control", 1.0 - 1.0 / (2 + position))
        seen, one = undefended(message.full, message.measured.truth, index)
        measured = Measured(one, (0,), message.measured.decoys, bounds.decoys)
        generator = context.numpy_generator("gradient_inversion", "control", position)
        seen = bounds.knowledge.restrict(seen)
        trial = attack_message(seen, measured, attack, settings_of(context, bounds), generator, progress, stop)
        if trial.found.stopped == "asked":
            break
        found.append(Control(message, trial))
    return found


def settings_of(context: AuditContext, bounds: Bounds) -> InversionSettings:
    """Of every attack of an audit."""
    return InversionSettings(seed=context.seed, max_iterations=bounds.max_iterations)


def _in_turn(attacked: list[Attacked], limit: int) -> Iterator[tuple[Attacked, int]]:
    """The first image of each message, then the second of each, and so on."""
    longest = max(len(message.measured.targets) for message in attacked)
    every = [
        (message, message.measured.targets[place])
        for place in range(longest)
        for message in attacked
        if place < len(message.measured.targets)
    ]
    yield from every[:limit]

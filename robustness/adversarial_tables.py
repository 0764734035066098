"""What the section on adversarial images says in words and tables: where right answers are lost, and to what."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from medfed.audit.results import Sample, Table
from medfed.registry import name_of
from robustness.adversarial_scores import Values
from robustness.adversarial_trial import Trial
from robustness.attacks.contract import Attack
from robustness.attacks.noise import Noise
from robustness.attacks.result import AttackResult

Rows = Int[np.ndarray, " image"]


def tried(num: int, eps: float, attack: Attack) -> str:
    """What was done; it names the attack, whose strength is not for the section to praise."""
    return (
        f"{num} test images, no two of one patient, were changed by at most {eps:g} of 255 grey levels per pixel, to "
        f'harm the model, by the attack "{name_of("attack", attack)}".'
    )


def not_tested(table: Table, attack: Attack, own: Attack) -> Iterator[str]:
    """What was left out: ``own`` where ``attack`` ran in its place, classes without a right answer, other changes."""
    if attack != own:
        names = (name_of("attack", each) for each in (own, attack))
        yield 'the section\'s own attack, "{}", in whose place "{}" ran: a stronger attack may leave less'.format(
            *names
        )
    yield from (
        f"what an attack takes of {name}: none is right without one"
        for name, num, wrong, *_ in table.rows
        if num == wrong
    )
    yield "changes of other kinds: rotations, patches, marks on the film, the noise of a scanner"


def remedy(table: Table, threshold: float) -> str:
    """A model that errs without an attack has another fault first."""
    errs = any(num - wrong < threshold * num for _, num, wrong, *_ in table.rows)  # type: ignore[operator]
    return ("Mend the model's own errors first: it misses the threshold without an attack. " if errs else "") + (
        "Protect the way of an image from the scanner to the model; where outsiders can reach it, train against such "
        "changes. A PASS here would hold for changes of this kind and size only."
    )


def groups(trial: Trial) -> Iterator[tuple[str, Rows]]:
    """All images, and in classification those of each class."""
    labels = trial.tests.labels.numpy()
    yield "all images", np.arange(len(labels))
    if trial.context.task.kind == "classification":
        yield from ((name, np.flatnonzero(labels == index)) for index, name in enumerate(trial.context.task.classes))


def curve(trial: Trial, clean: Values, left: dict[float, Values]) -> Table:
    """The score of all images at every eps, beside noise."""
    noise = {eps: trial.values(Noise(), eps) for eps in left}
    rows = ((f"{eps:g}", trial.estimate(left[eps]), trial.estimate(noise[eps])) for eps in left)
    return Table(
        title="What is left of the score, the model's own errors included, by the largest change of a pixel",
        columns=("Grey levels of 255", "Under attack", "Under random noise"),
        rows=(("0", trial.estimate(clean), trial.estimate(clean)), *rows),
    )


def lost(trial: Trial, judged: AttackResult, left: Values) -> Table:
    """Images, with 0 or 1 for a reading and 0.5 for a Dice as what is still right."""
    wrong = judged.clean_success.cpu().numpy()
    turned = ~wrong & (left < 0.5)
    return Table(
        title="Where right answers are lost",
        columns=("Of", "Test images", "Wrong without an attack", "Turned by the attack"),
        rows=tuple(
            (name, len(rows), int(wrong[rows].sum()), int(turned[rows].sum()))
            for name, rows in groups(trial)
            if len(rows)
        ),
    )


def cost(judged: AttackResult) -> Table:
    """Passes, gradients, and what was left after each stage."""
    rows = [("Images passed through the model", judged.forward_images), ("Gradients taken", judged.gradient_images)]
    rows += [(f"Images not fooled after {stage}", left) for stage, left in judged.left.items()]
    return Table(title="What the attack of the verdict cost, and did", columns=("What", "Number"), rows=tuple(rows))


def samples(trial: Trial, clean: Values, left: Values, eps: float) -> Iterator[Sample]:
    """Two lines for every image: without and under attack."""
    name = trial.score.name.lower()
    for position, (site, row) in enumerate(zip(trial.tests.sites, trial.tests.rows, strict=True)):
        for measure, values in ((name, clean), (f"{name} under attack, {eps:g} grey levels", left)):
            yield Sample(site=site, row=row, measure=measure, value=float(values[position]))

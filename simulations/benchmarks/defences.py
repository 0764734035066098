"""Defences on chest films: what each costs and what it leaves of an attack, beside the same federation without it.

Adversarial training, filters before the model, and randomised smoothing, on the bundled pneumonia scenario (FedAvg,
five sites). No setting was tuned: eps is the budget of the audit's verdict, 8 grey levels. All figures are of test
images, attacked by one who knows the defence, unless a column says otherwise.

    python -m simulations.benchmarks.defences [--images 150] [--out runs/defences] [--markdown docs/defences.md]

With ``--markdown`` the part of that file below its marker line is written anew.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from robustness.attacks.result import AttackResult
from robustness.defences.bit_depth import BitDepth
from robustness.defences.filter_contract import InputFilter
from robustness.defences.gaussian_filter import GaussianFilter
from robustness.defences.median_filter import MedianFilter
from simulations.benchmarks.defences_case import (
    Share,
    Trained,
    attacked,
    certified,
    clean,
    left,
    left_of_transfer,
    trained,
)
from simulations.benchmarks.report import Row, print_rows

MARKER = "<!-- below this line: written by simulations.benchmarks.defences -->"

Results = dict[int, AttackResult]
"""By budget."""

BUDGETS = (2, 4, 8)
"""Grey levels of 8 bits."""

TRAININGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "fast": {"training.adversarial": {"name": "fast", "eps_grey_levels": 8}},
    "pgd": {"training.adversarial": {"name": "pgd", "eps_grey_levels": 8, "steps": 3, "step": 0.5}},
    "trades": {"training.adversarial": {"name": "trades", "eps_grey_levels": 8, "steps": 3, "step": 0.5}},
}
"""Three steps of eps / 2, to save time; the papers take 7 and 10."""

FILTERS: dict[str, InputFilter] = {
    "gaussian, 1 pixel": GaussianFilter(sigma=1.0),
    "median, 3 pixels": MedianFilter(size=3),
    "bit depth, 3 bits": BitDepth(bits=3),
}

SIGMA = 32.0
"""Grey levels of noise for randomised smoothing."""

NOISY = {"training.transforms": ("affine", "intensity", {"name": "noise", "std": 0.25})}
"""Training with noise of up to twice that: a standard deviation uniform on [0, .25]."""

RADII = (0.0, 16.0, 32.0, 64.0)
"""Euclidean, in grey levels."""

MOST_CERTIFIED = 60
"""Images that are certified; each takes 600 passes of the model."""


def trainings(models: Sequence[Trained], attacks: Sequence[Results]) -> tuple[list[str], dict[str, list[Share]]]:
    """The table of adversarial training, and the shares without attack and at every budget by name."""
    always = Share.of(models[0].labels == 1, models[0].labels)
    lines = [
        "| training | CPU s | no attack | " + " | ".join(f"{eps} grey levels" for eps in BUDGETS) + " |",
        "| --- | --- | --- |" + " --- |" * len(BUDGETS),
        "| none: always the second class | 0 |" + f" {always} |" * (1 + len(BUDGETS)),
    ]
    found: dict[str, list[Share]] = {}
    for aim, results in zip(models, attacks, strict=True):
        shares = [clean(aim, results[BUDGETS[0]]), *(left(aim, result) for result in results.values())]
        lines.append(f"| {aim.name} | {aim.seconds:.0f} | {' | '.join(map(str, shares))} |")
        found[aim.name] = shares
    return lines, found


def filters(aim: Trained, bare: Results) -> list[str]:
    """The table of filters before the plain model: what two attackers leave of each."""
    none = " | ".join(f"- | {left(aim, result)}" for result in bare.values())
    lines = [
        "| filter | no attack | " + " | ".join(f"{eps}: not knowing it | {eps}: through it" for eps in BUDGETS) + " |",
        "| --- | --- |" + " --- | --- |" * len(BUDGETS),
        f"| none | {clean(aim, bare[BUDGETS[0]])} | {none} |",
    ]
    for name, input_filter in FILTERS.items():
        model = aim.behind(input_filter)
        through = attacked_at(aim, model)
        cells = [str(clean(aim, through[BUDGETS[0]]))]
        for eps in BUDGETS:
            cells += [str(left_of_transfer(aim, model, bare[eps], eps)), str(left(aim, through[eps]))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def attacked_at(aim: Trained, model: nn.Module) -> Results:
    """The attack at every budget."""
    return {eps: attacked(aim, model, eps) for eps in BUDGETS}


def smoothing(models: Sequence[Trained]) -> list[str]:
    """The table of certified accuracy."""
    lines = [
        "| training | s per image | " + " | ".join(f"radius >= {radius:g}" for radius in RADII) + " |",
        "| --- | --- |" + " --- |" * len(RADII),
    ]
    for aim in models:
        shares, seconds = certified(aim.first(MOST_CERTIFIED), SIGMA, RADII)
        lines.append(f"| {aim.name} | {seconds:.2f} | {' | '.join(map(str, shares))} |")
    return lines


def rows(found: dict[str, list[Share]]) -> list[Row]:
    """The closing line: balanced accuracy under attack at the middle budget; plain training is peer and goal."""
    at = 1 + BUDGETS.index(4)
    plain = found["plain"][at].balanced
    return [
        Row(f"{name}: balanced, 4 grey levels", shares[at].balanced, plain, "share", "higher", plain)
        for name, shares in found.items()
        if name != "plain"
    ]


def page(models: Sequence[Trained], noisy: Trained) -> tuple[str, list[Row]]:
    """The three tables as Markdown, and the rows of the closing line."""
    n, plain = len(models[0].images), models[0]
    attacks = [attacked_at(aim, aim.model) for aim in models]
    table, found = trainings(models, attacks)
    smoothed = f"Randomised smoothing, sigma {SIGMA:g} grey levels, {min(n, MOST_CERTIFIED)} of these images"
    parts = [
        f"Seed 1, {n} test images: share read rightly (exact 95 % interval), balanced accuracy.",
        "Adversarial training, by largest change of a pixel:",
        "\n".join(table),
        "Filters before the plain model, by largest change of a pixel and what the attacker knows:",
        "\n".join(filters(plain, attacks[0])),
        f"{smoothed}, by certified radius in grey levels:",
        "\n".join(smoothing([plain, noisy])),
    ]
    return "\n\n".join(parts), rows(found)


def write(path: Path, text: str) -> None:
    """Put ``text`` below the marker of the page."""
    kept = path.read_text(encoding="utf-8").split(MARKER)[0]
    path.write_text(f"{kept}{MARKER}\n\n{text}\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Train what is not trained yet, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=150, help="how many images are attacked")
    parser.add_argument("--out", type=Path, default=Path("runs/defences"), help="finished runs there are used again")
    parser.add_argument("--markdown", type=Path, help="write the tables below the marker line of this file")
    given = parser.parse_args(arguments)
    models = [trained(name, changes, given.out, given.images) for name, changes in TRAININGS.items()]
    noisy = trained("noise", NOISY, given.out, given.images)
    text, closing = page(models, noisy)
    print(text)
    if given.markdown:
        write(given.markdown, text)
    print_rows("defences", closing)


if __name__ == "__main__":
    main()

"""The head x attack matrix judges cells by its own measure. Oracles: points made by hand, tables counted by hand."""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from robustness.attacks.criteria import WrongDecisions
from robustness.attacks.heads import SigmoidHead
from robustness.attacks.projection import Bounds, allowed
from simulations.benchmarks.attack_matrix import __main__ as attack_matrix
from simulations.benchmarks.attack_matrix.case import NUM_KINDS, SIZE, Case, make_films
from simulations.benchmarks.attack_matrix.cells import L0, L2, LINF, Cell, Line, judged, line_of
from simulations.benchmarks.attack_matrix.points import noise, reference_pgd


class Mean(nn.Module):
    """A logit: 1000 (mean - 1/2)."""

    def forward(self, images: Tensor) -> Tensor:
        return 1000 * (images.flatten(1).mean(dim=1, keepdim=True) - 0.5)


@pytest.fixture
def case() -> Case:
    """Ten grey films just above 1/2: all right, and all wrong once the mean falls by 0.01."""
    images = torch.full((10, 1, 8, 8), 0.505)
    return Case(
        Mean().eval(),
        images,
        torch.ones(10),
        SigmoidHead(),
        WrongDecisions(),
        lambda output: (output[:, 0] <= 0).float(),
        lambda output: -output[:, 0],
    )


def moved(case: Case, by: float) -> Tensor:
    return case.images + by


@pytest.mark.parametrize(
    ("points", "kind", "damage"),
    [
        (lambda case: moved(case, -0.01), "damage", 1.0),
        (lambda case: moved(case, 0.0), "silent", 0.0),
        (lambda case: moved(case, 0.02), "silent", 0.0),
        (lambda case: moved(case, -0.04), "beyond", 0.0),
        (lambda case: moved(case, float("nan")), "beyond", 0.0),
        (lambda case: moved(case, 0.0)[:5], "raises", 0.0),
    ],
    ids=["works", "nothing", "wrong way", "above eps", "not a number", "shape"],
)
def test_a_cell_says_what_the_points_are_worth(
    case: Case, points: Callable[[Case], Tensor], kind: str, damage: float
) -> None:
    cell = judged(case, LINF, points(case), floor=0.0, reference=1.0)
    assert (cell.kind, cell.damage) == (kind, damage)


@pytest.mark.parametrize("threat", [LINF, L2], ids=["linf", "l2"])
def test_the_reference_reaches_what_can_be_reached_inside_the_bound(case: Case, threat: object) -> None:
    points = reference_pgd(case, threat)
    assert bool(allowed(points, case.images, Bounds.of(threat, case.images)).all())
    assert float(case.damage(case.model(points)).mean()) == 1.0


@pytest.mark.parametrize("threat", [LINF, L2, L0], ids=["linf", "l2", "l0"])
def test_noise_is_as_large_as_the_bound(case: Case, threat: object) -> None:
    bounds = Bounds.of(threat, case.images)
    points = noise(case, threat, seed=0)
    assert bool(allowed(points, case.images, bounds).all())
    assert not torch.equal(points, case.images)


def test_films_show_what_their_masks_say() -> None:
    films = make_films(50, torch.Generator().manual_seed(0))
    assert films.images.shape == (50, 1, SIZE, SIZE)
    assert films.findings.shape == (50, NUM_KINDS)
    empty = films.findings.sum(dim=1) == 0
    assert bool(empty.any())
    assert float(films.masks[empty].sum()) == 0
    assert bool((films.masks[~empty].flatten(1).sum(dim=1) > 0).all())
    marked = films.masks == 1
    assert float(films.images[marked].mean()) > float(films.images[~marked].mean()) + 0.1


def line(ours: float, guarded: Cell, number: int = 10) -> Line:
    raw = {"PGD": Cell("silent", 0.0, "no word"), "CW": Cell("damage", 0.8)}
    raw["OnePixel"] = Cell("damage", 0.5)
    guards = {"PGD": guarded, "CW": Cell("damage", 0.7), "OnePixel": Cell("damage", 0.5)}
    norms = dict.fromkeys(("linf", "l2", "l0"), ours)
    return Line(number, dict.fromkeys(norms, 0.0), {"linf": 0.6, "l2": 0.6}, norms, raw, guards)


def test_the_goals_are_the_best_of_peer_and_reference_and_no_silent_cell() -> None:
    rows = attack_matrix.rows({"a head": line(0.57, Cell("silent", 0.0))})
    by_case = {row.case: row for row in rows}
    first, second, third, silent = by_case.values()
    assert (first.goal, first.holds) == (pytest.approx(0.95 * 0.6), True)
    assert (second.goal, second.holds) == (pytest.approx(0.95 * 0.8), False)
    assert (third.case, third.goal, third.holds) == ("a head, L0 4 pixels: error", pytest.approx(0.95 * 0.5), True)
    assert (silent.ours, silent.peer, silent.holds) == (1, 1, False)


def test_the_page_shows_every_cell_and_every_reason() -> None:
    refused = Cell("refused", 0.0, "expected one decision per image")
    page = attack_matrix.page({"a head": line(0.6, refused)}, "3.5.1")
    assert "| PGD | silent -> refused |" in page
    assert "| CW | 0.80 -> 0.70 |" in page
    assert "- refused: expected one decision per image (a head)" in page
    assert "| a head | Linf 8/255 | 0.00 | 0.60 | 0.60 | 0.00 | 1 | 0 |" in page
    assert "| a head | L0 4 pixels | 0.00 | - | 0.60 | 0.50 | 0 | 0 |" in page


@pytest.mark.parametrize(("numbers", "said"), [((10, 10), "n = 10 films"), ((33, 40), "n = 33 to 40 films")])
def test_the_page_says_on_how_many_films(numbers: tuple[int, int], said: str) -> None:
    lines = {str(row): line(0.6, Cell("damage", 0.8), number) for row, number in enumerate(numbers)}
    assert said in attack_matrix.page(lines, "3.5.1")


def test_a_line_counts_the_images_of_its_case(case: Case) -> None:
    package = ModuleType("torchattacks")  # without a single attack
    made = line_of(package, case, {}, lambda text: None)
    assert made.num_images == 10

"""The audit section on shortcuts. Oracle: models of which it is known what they read, and images drawn by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.verdicts import judge
from medfed.config import parse_scenario
from medfed.data.dataset import Dataset
from medfed.data.table import Record
from medfed.report.load import RunData
from medfed.results import Summary
from robustness import shortcuts
from robustness.shortcut_corners import exchanged, partners
from robustness.shortcuts import Outcome, Shortcuts, difference

SIDE, NUM = 10, 30
SCENARIO = """
name = "marks"
task = {{ kind = "{kind}", classes = {classes}, head = "{head}" }}
data = {{ path = "none.csv", image_size = 10, partition = "natural" }}
model = "{model}"
training = {{ rounds = 1, local_epochs = 1, batch_size = 4, loss = "{loss}" }}
federation = {{ sites = ["a"] }}
"""
TWO = SCENARIO.format(
    kind="classification", classes='["a", "b"]', head="softmax", model="small_cnn", loss="cross_entropy"
)


class Reads(nn.Module):
    """Scores of the classes by the mean grey level of one part of the image, or of two."""

    def __init__(self, *parts: tuple[slice, slice], num_classes: int = 2, sigmoid: bool = False) -> None:
        super().__init__()
        self.parts, self.num_classes, self.sigmoid = parts, num_classes, sigmoid

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        level = torch.stack([images[:, 0, rows, columns].mean(dim=(1, 2)) for rows, columns in self.parts]).mean(dim=0)
        if self.sigmoid:
            return 50.0 * (level[:, None] - 0.5)
        return -50.0 * (level[:, None] - torch.linspace(0, 1, self.num_classes)).abs()


CORNER = (slice(0, 2), slice(0, 2))
MIDDLE = (slice(3, 7), slice(3, 7))


def _context(module: nn.Module, text: str = TWO, num_classes: int = 2, labels: np.ndarray | None = None):
    """Images whose middle and corners are as bright as their class is high; the rest is grey."""
    labels = np.arange(NUM) % num_classes if labels is None else labels
    level = (255 * labels / (num_classes - 1)).astype(np.uint8)[:, None, None, None]
    images = np.full((len(labels), 1, SIDE, SIDE), 128, dtype=np.uint8)
    for part in (MIDDLE, CORNER):
        images[:, :, part[0], part[1]] = level
    records = tuple(Record(f"{i}.png", None, None, "a", "test", f"p{i}", i + 1) for i in range(len(labels)))
    rows = {"a": {"train": np.arange(0), "val": np.arange(0), "test": np.arange(len(labels))}}
    scenario = parse_scenario(text)
    masks = np.zeros((len(labels), SIDE, SIDE), np.uint8)
    targets = labels.astype(np.int64) if scenario.task.kind == "classification" else masks
    dataset = Dataset(Path("none.csv"), images, targets, records, rows, ())
    figures = {"rounds": 1, "seconds": 1.0, "bytes_up": 0, "bytes_down": 0, "sites": {}}
    summary = Summary(name="x", status="COMPLETED", task=scenario.task.kind, headline_metric="auroc", **figures)
    return AuditContext(scenario, RunData(Path(), summary), dataset, module.eval(), seed=1)


def test_a_model_that_reads_the_corner_turns_with_it():
    found = Shortcuts()(_context(Reads(CORNER)))
    assert (found.findings[0].estimate.value, found.findings[0].estimate.n) == (1.0, NUM)
    assert found.verdict == "FAIL"
    assert found.positive_control.holds
    assert len(found.samples) == NUM
    assert {sample.value for sample in found.samples} == {1.0}


def test_a_model_that_reads_the_middle_does_not():
    found = Shortcuts(max_turned=0.2)(_context(Reads(MIDDLE)))
    assert found.findings[0].estimate.value == 0.0
    assert found.verdict == "PASS"


def test_what_any_seam_turns_is_not_counted():
    """A model that errs whenever the corners are not those of the image itself, whoever they are of."""

    class Brittle(Reads):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            level = (255 * images[:, 0, 0, -1]).round()  # the last corner carries the number of the image
            own = (255 * images[:, 0, 4, 2]).round() == level
            return super().forward(images) * torch.where(own, 1.0, -1.0)[:, None]

    context = _context(Brittle(MIDDLE))
    context.dataset.images[:, 0, :2, -2:] = np.arange(NUM)[:, None, None]
    context.dataset.images[:, 0, 4, 2] = np.arange(NUM)
    found = Shortcuts()(context)
    assert [row[1].value for row in found.tables[0].rows] == [1.0, 1.0]
    assert found.findings[0].estimate.value == 0.0


@pytest.mark.parametrize(
    ("module", "classes", "head"),
    [(Reads(CORNER, num_classes=3), 3, "softmax"), (Reads(CORNER, sigmoid=True), 2, "sigmoid")],
)
def test_more_classes_and_a_sigmoid_head(module: nn.Module, classes: int, head: str):
    loss = "cross_entropy"
    text = SCENARIO.format(
        kind="classification", classes=str(list("abc"[:classes])), head=head, model="small_cnn", loss=loss
    )
    found = Shortcuts()(_context(module, text, classes))
    assert found.findings[0].estimate.value == 1.0
    assert found.positive_control.holds


def test_what_it_cannot_serve_is_not_tested():
    outlines = SCENARIO.format(
        kind="segmentation", classes='["a", "b"]', head="softmax", model="unet", loss="cross_entropy"
    )
    with pytest.raises(NotTestedError, match="one answer for an image"):
        Shortcuts()(_context(Reads(MIDDLE), outlines))
    with pytest.raises(NotTestedError, match="no test image rightly"):
        Shortcuts()(_context(Reads(MIDDLE), labels=np.zeros(NUM, dtype=np.int64)))  # no other class


def test_partners_are_of_another_class_and_of_their_own():
    labels = torch.tensor([0, 1, 0, 2, 1])
    for seed in range(20):
        other, own = partners(labels, np.random.default_rng(seed))
        assert (labels[other] != labels).all()
        assert own[3] == -1  # there is one image of its class
        assert all(labels[own[i]] == labels[i] and own[i] != i for i in (0, 1, 2, 4))


@pytest.mark.parametrize(("corner", "side"), [(0.2, 2), (0.01, 1), (0.45, 4)])
def test_corners_and_nothing_else_are_exchanged(corner: float, side: int):
    images, others = torch.zeros(2, 1, SIDE, SIDE + 5), torch.ones(2, 1, SIDE, SIDE + 5)
    found = exchanged(images, others, corner)
    assert float(found.sum()) == 2 * 4 * side**2
    assert all(float(found[0, 0, r, c]) == 1.0 for r in (0, -1) for c in (0, -1))
    assert torch.equal(exchanged(images, images, corner), images)


def test_the_exchange_leaves_something_between_the_corners():
    images = torch.zeros(1, 1, 8, 9)
    assert float(exchanged(images, torch.ones_like(images), 0.49).sum()) == 4 * 3**2


def _outcome(*classes: tuple[int, int, int]) -> Outcome:
    """Of every class: right answers, those that only another class turned, those that only their own did."""
    sizes = [right for right, *_ in classes]
    labels = torch.repeat_interleave(torch.arange(len(classes)), torch.tensor(sizes))
    other = torch.cat([torch.arange(right) < turned for right, turned, _ in classes])
    own = torch.cat([torch.arange(right) >= right - turned for right, _, turned in classes])
    return Outcome(labels, torch.ones(len(labels), dtype=torch.bool), other, own)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_answers_that_any_corners_turn_at_random_are_no_shortcut(share: float) -> None:
    """Foreign corners turn an answer with a probability that no class has a part in: not once a FAIL in ten draws."""
    draws = np.random.default_rng(0)
    verdicts = []
    for _ in range(10):
        right, labels = torch.ones(200, dtype=torch.bool), torch.arange(200) % 2
        other, own = (torch.from_numpy(draws.random(200) < share) for _ in range(2))
        estimate = difference(Outcome(labels, right, other, own))
        verdicts.append(judge(estimate.low, estimate.high, Shortcuts().max_turned, "at_most"))
    assert "FAIL" not in verdicts


def test_the_difference_is_that_of_agresti_and_min() -> None:
    """By hand: 100 images, 20 turned by the other class alone, 5 by their own alone; their formula (1.96 se)."""
    found = difference(_outcome((100, 20, 5)))
    assert found.value == pytest.approx(0.15)
    assert found.se == pytest.approx((20.5 + 5.5 - 15**2 / 102) ** 0.5 / 102)
    assert found.low == pytest.approx(15 / 102 - 1.959964 * found.se)


def test_over_classes_it_is_the_mean_and_errors_add_in_squares() -> None:
    first, second, both = (
        difference(_outcome(*c)) for c in (((100, 20, 5),), ((60, 0, 0),), ((100, 20, 5), (60, 0, 0)))
    )
    assert both.value == pytest.approx((first.value + second.value) / 2)
    assert both.se == pytest.approx((first.se**2 + second.se**2) ** 0.5 / 2)
    assert (both.low + both.high) / 2 == pytest.approx(15 / 102 / 2)


@pytest.mark.parametrize("sick", [8, 40, 100])
def test_a_mark_that_only_the_sick_have_is_found_whatever_their_share(sick: int) -> None:
    """A letter on every film of the sick, at whose loss all their answers turn; nothing turns those of the others."""
    found = difference(_outcome((200 - sick, 0, 0), (sick, sick, 0)))
    assert found.value == 0.5
    assert judge(found.low, found.high, Shortcuts().max_turned, "at_most") == "FAIL"


def test_partners_of_another_class_are_as_often_of_a_rare_one() -> None:
    labels = torch.tensor([0] * 300 + [1] * 97 + [2] * 3)
    other, _ = partners(labels, np.random.default_rng(0))
    assert float((labels[other[:300]] == 2).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_the_control_holds_where_a_weak_reader_is_found() -> None:
    control = Shortcuts()(_context(Reads(MIDDLE), labels=np.arange(40) % 2)).positive_control
    assert control.holds
    assert control.observed < 0.2  # near the threshold of 0.1: it has little to spare
    assert "40 images" in control.description
    assert "30 %" in control.description


def test_too_few_images_fail_the_control_and_nothing_passes() -> None:
    """Of 13 images of a class none turned: below the threshold by its interval, which three in ten would be too."""
    found = Shortcuts()(_context(Reads(MIDDLE), labels=np.arange(26) % 2))
    assert [finding.verdict for finding in found.findings] == ["PASS"]
    assert not found.positive_control.holds
    assert found.verdict == "INCONCLUSIVE"


def test_an_exchange_that_does_nothing_fails_the_control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortcuts, "exchanged", lambda images, partner, corner: images)
    found = Shortcuts(max_turned=0.2)(_context(Reads(CORNER), labels=np.arange(200) % 2))
    assert [finding.verdict for finding in found.findings] == ["PASS"]
    assert not found.positive_control.holds
    assert found.verdict == "INCONCLUSIVE"


def test_a_model_that_is_right_on_one_class_alone_does_not_pass() -> None:
    class Always(Reads):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.tensor([1.0, 0.0]).repeat(len(images), 1)

    found = Shortcuts()(_context(Always(MIDDLE), labels=np.arange(200) % 2))
    assert found.verdict == "INCONCLUSIVE"
    assert "b: no right answer that corners could turn" in found.not_tested

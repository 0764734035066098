"""The tables of the benchmark of defences, on a linear model. Oracles: its closed forms, and the page by hand."""

import pytest
import torch

from medfed.audit.verdicts import clopper_pearson
from simulations.benchmarks import defences
from simulations.benchmarks.defences_case import Share, Trained, attacked, certified, clean, left
from tests.robustness.attacks.setups import Linear, inner_images, predicted


@pytest.fixture
def aim() -> Trained:
    """Twenty images, of which the model reads fifteen rightly."""
    model, images = Linear(2).eval(), inner_images(20)
    labels = predicted(model, images)
    labels[::4] = 1 - labels[::4]
    return Trained("plain", model, 7.0, images, labels)


def _reach(aim: Trained, order: int) -> torch.Tensor:
    """Grey levels to the boundary, per image; below 0 where it is read wrongly already."""
    with torch.no_grad():
        weight, logits = aim.model.weight, aim.model(aim.images)
        sign = 2 * aim.labels - 1
        return 255 * sign * (logits[:, 1] - logits[:, 0]) / (weight[1] - weight[0]).norm(p=order)


def test_shares_without_and_under_attack_are_those_of_the_closed_form(aim):
    reach = _reach(aim, 1)
    eps = 1.001 * float(reach[reach > 0].median())
    result = attacked(aim, aim.model, eps)
    assert clean(aim, result).right == 15
    assert left(aim, result).right == int((reach > eps).sum())
    assert 3 < left(aim, result).right < 10


def test_certified_images_are_within_their_exact_radius(aim):
    shares, _ = certified(aim, 32.0, (0.0, 20.0, 500.0))
    exact = _reach(aim, 2)
    assert 0 < shares[0].right <= int((exact > 0).sum())
    assert shares[1].right <= int((exact >= 20).sum())
    assert shares[2].right == 0


def test_a_share_shows_its_exact_interval_and_balanced_accuracy():
    """Three of four and one of two: 4 / 6 right, balanced (3 / 4 + 1 / 2) / 2."""
    right, labels = torch.tensor([1, 1, 1, 0, 1, 0]).bool(), torch.tensor([1, 1, 1, 1, 0, 0])
    low, high = clopper_pearson(4, 6)
    assert str(Share.of(right, labels)) == f"0.667 ({low:.2f} to {high:.2f}), 0.625"


def test_every_row_has_the_columns_of_its_table(aim):
    text, rows = defences.page([aim], aim)
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert [len(table) for table in tables] == [4, 3 + len(defences.FILTERS), 4]
    assert all(len({line.count("|") for line in table}) == 1 for table in tables)
    assert rows == []  # plain training is the peer, not a row


def test_the_page_keeps_what_stands_above_the_marker(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n\n{defences.MARKER}\n\nold\n")
    defences.write(page, "new")
    assert page.read_text() == f"above\n\n{defences.MARKER}\n\nnew\n"


def test_only_so_many_images_are_certified(aim):
    assert len(aim.first(5).images) == 5
    assert torch.equal(aim.first(100).images, aim.images)

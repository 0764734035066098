"""What the enforcer promises. Oracles: byte equality, the bound computed anew, the law that batches do not matter."""

import numpy as np
import pytest
import torch
from torch import nn

from medfed import registry
from robustness.attacks import APGD, PGD, Ensemble, Square
from robustness.attacks.contract import AttackError, SideEffectError
from robustness.attacks.criteria import Confident, DiceBelow, WrongDecisions
from robustness.attacks.enforcer import check_points, run_attack
from robustness.attacks.head_checks import HeadError
from robustness.attacks.heads import DenseSigmoidHead, DenseSoftmaxHead, MultiLabelHead, SigmoidHead, SoftmaxHead
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.setups import Changed, Linear, inner_images, pneumonia_films, pneumonia_model, predicted

FAST = {
    "one_pixel": {"generations": 2, "population": 4},
    "ensemble": {"steps": 5, "restarts": 1, "queries": 10, "blind_queries": 10},
    "square": {"queries": 30},
    "apgd": {"steps": 5},
    "fab": {"steps": 5},
    "cw": {"steps": 10, "searches": 2},
}
EPS = {"linf": 8 / 255, "l2": 1.0, "l0": 3.0, "patch": 0.1, "spatial": 2.0}
ATTACKS = sorted(registry.table("attack"))


def _attack(name):
    return registry.build("attack", {"name": name, **FAST.get(name, {})})


def _serves_films(name):
    return not name.startswith(("seg", "cos"))


def _run(name, **settings):
    images, labels = pneumonia_films(16)
    attack = _attack(name)
    threat = ThreatModel(norm=attack.norms[0], eps=EPS[attack.norms[0]])
    return run_attack(
        pneumonia_model(),
        images,
        labels,
        attack=attack,
        threat=threat,
        head=SigmoidHead(),
        settings=RunSettings(**settings),
    ), threat


every_attack = pytest.mark.parametrize("name", [name for name in ATTACKS if _serves_films(name)])


@every_attack
def test_points_keep_bound_and_range_and_fool_the_model(name):
    images, labels = pneumonia_films(16)
    result, threat = _run(name)
    points = result.adversarial
    assert float(points.min()) >= 0
    assert float(points.max()) <= 1
    change = points - images
    measures = {
        "linf": change.abs().amax(),
        "l2": change.flatten(1).norm(dim=1).amax(),
        "l0": (change != 0).any(dim=1).flatten(1).sum(dim=1).amax(),
        "patch": (change != 0).flatten(1).float().mean(dim=1).amax(),
    }
    if threat.norm in measures and name != "fooling":
        assert float(measures[threat.norm]) <= threat.eps * 1.0001
    with torch.no_grad():
        wrong = (pneumonia_model()(points)[:, 0] > 0).long() != labels
    assert torch.equal(wrong & result.success, result.success)
    assert bool((result.damage >= result.clean_damage - 1e-4)[~result.clean_success].all())


@every_attack
def test_leaves_everything_as_it_was(name):
    model = pneumonia_model()
    model.train()
    model[0].eval()  # a mixture of flags must come back as a mixture
    flags = [module.training for module in model.modules()]
    next(model.parameters()).grad = torch.ones_like(next(model.parameters()))
    weights = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
    images, labels = (part.clone() for part in pneumonia_films(16))
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    try:
        _run(name)
        assert [module.training for module in model.modules()] == flags
        assert all(parameter.requires_grad for parameter in model.parameters())
        assert all(torch.equal(tensor, before) for tensor, before in weights)
        assert torch.equal(next(model.parameters()).grad, torch.ones_like(next(model.parameters())))
        assert all(parameter.grad is None for parameter in list(model.parameters())[1:])
        assert torch.equal(torch.get_rng_state(), states[0])
        assert np.array_equal(np.random.get_state()[1], states[1])
        assert torch.equal(images, pneumonia_films(16)[0])
        assert torch.equal(labels, pneumonia_films(16)[1])
    finally:
        model.eval()
        model.zero_grad()


@every_attack
def test_equal_seeds_give_equal_bytes(name):
    one, other = _run(name, seed=3)[0], _run(name, seed=3)[0]
    assert torch.equal(one.adversarial, other.adversarial)
    assert torch.equal(one.success, other.success)


@pytest.mark.parametrize("name", ["pgd", "apgd", "ensemble", "mifgsm", "fab", "deepfool"])
def test_an_attack_fools_a_trained_model(name):
    result, _ = _run(name)
    assert int(result.success.sum()) > int(result.clean_success.sum())


def test_the_ensemble_fools_whatever_a_member_fools():
    """Law: more attacks never fool fewer images (up to one: the random starts differ)."""
    images, labels = pneumonia_films(48)
    common = {"threat": ThreatModel.grey_levels(3), "head": SigmoidHead()}
    shares = [
        run_attack(pneumonia_model(), images, labels, attack=attack, **common).robust_share
        for attack in (Ensemble(steps=30), PGD(), APGD(steps=30), Square(queries=50))
    ]
    assert 0.0 < shares[0] < 1.0
    assert all(shares[0] <= share + 1 / 48 for share in shares[1:])


def test_bfloat16_successes_hold_in_float32():
    images, labels = pneumonia_films(48)
    result = run_attack(
        pneumonia_model(),
        images,
        labels,
        attack=PGD(),
        threat=ThreatModel.grey_levels(3),
        head=SigmoidHead(),
        settings=RunSettings(precision="bfloat16"),
    )
    with torch.no_grad():
        wrong = (pneumonia_model()(result.adversarial)[:, 0] > 0).long() != labels
    assert torch.equal(wrong, result.success)
    assert result.flags["unconfirmed"] == 0


def test_results_do_not_depend_on_the_batch_of_the_model():
    images, labels = pneumonia_films(48)
    runs = [
        run_attack(
            pneumonia_model(),
            images,
            labels,
            attack=PGD(),
            threat=ThreatModel.grey_levels(3),
            head=SigmoidHead(),
            settings=RunSettings(batch_size=size),
        )
        for size in (7, 64)
    ]
    assert torch.equal(runs[0].success, runs[1].success)


def test_little_memory_means_small_batches():
    largest = []
    model = Changed(pneumonia_model(), lambda inner, x: (largest.append(len(x)), inner(x))[1])
    images, labels = pneumonia_films(16)
    settings = RunSettings(max_bytes=400_000)
    run_attack(model, images, labels, attack=PGD(), threat=ThreatModel(eps=0.01), head=SigmoidHead(), settings=settings)
    assert max(largest) < 16


def test_fooled_images_leave():
    """PGD takes one gradient of an image that falls at once, and all steps only where it does not."""
    model, images = Linear(2), inner_images(8)
    labels = predicted(model, images)
    easy = run_attack(
        model,
        images,
        labels,
        attack=PGD(steps=50, step=1.0),
        threat=ThreatModel(eps=0.9),
        head=SoftmaxHead(num_classes=2),
    )
    assert bool(easy.success.all())
    assert easy.gradient_images <= 3 * 8


def test_restarts_only_add_successes():
    images, labels = pneumonia_films(48)
    shares = [
        run_attack(
            pneumonia_model(),
            images,
            labels,
            attack=PGD(steps=3),
            threat=ThreatModel.grey_levels(2),
            head=SigmoidHead(),
            settings=RunSettings(restarts=restarts),
        ).success
        for restarts in (1, 4)
    ]
    assert bool((shares[1] | ~shares[0]).all())


def test_a_model_that_writes_to_itself_is_refused():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Linear(2)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, images):
            self.calls += 1
            return self.inner(images)

    with pytest.raises(SideEffectError, match='"calls"'):
        run_attack(
            Counting(),
            inner_images(4),
            torch.zeros(4),
            attack=PGD(),
            threat=ThreatModel(eps=0.1),
            head=SoftmaxHead(num_classes=2),
        )


def test_a_model_that_draws_random_numbers_is_flagged_and_the_state_put_back():
    noisy = Changed(Linear(2), lambda inner, x: inner(x + 0.01 * torch.randn_like(x)))
    before = torch.get_rng_state()
    result = run_attack(
        noisy,
        inner_images(4),
        torch.zeros(4),
        attack=PGD(),
        threat=ThreatModel(eps=0.1),
        head=SoftmaxHead(num_classes=2),
    )
    assert result.flags["random_forward"] == 1
    assert torch.equal(before, torch.get_rng_state())


SMALL = ThreatModel(eps=0.1)
TWO = SoftmaxHead(num_classes=2)
BOTH = torch.tensor([0, 1, 0, 1])


def _bad(message, *, model=None, images=None, labels=BOTH, threat=SMALL, head=TWO):
    model = Linear(2) if model is None else model
    images = inner_images(4) if images is None else images
    return model, images, labels, threat, head, message


BAD = {
    "range": _bad("z_scored", images=3 * inner_images(4)),
    "integers": _bad("float image", images=torch.zeros(4, 1, 4, 4, dtype=torch.uint8)),
    "labels": _bad(r"shape \(3,\)", labels=torch.zeros(3)),
    "class": _bad("got 2 in row 2", labels=torch.tensor([0, 1, 2, 0])),
    "head": _bad("One logit", head=SigmoidHead()),
    "norm": _bad("one_pixel", threat=ThreatModel(norm="l0", eps=1.0)),
    "rounding": _bad("square", model=Changed(Linear(2), lambda inner, x: inner((x.detach() * 8).round() / 8))),
    "nan": _bad("finite", model=Changed(Linear(2), lambda inner, x: inner(x) / 0)),
    "infinite": _bad("finite eps", threat=ThreatModel(eps=float("inf"))),
    "shift": _bad("segmentation", threat=ThreatModel(eps=0.1, goal="shift")),
    "finding": _bad(
        "set target", model=Linear(3), threat=ThreatModel(eps=0.1, goal="hide"), head=SoftmaxHead(num_classes=3)
    ),
    "channels": _bad("per channel", threat=ThreatModel(eps=0.1, low=(0.0, 0.0, 0.0))),
}


@pytest.mark.parametrize("case", BAD)
def test_a_fault_is_one_line_that_says_what_would_work(case):
    model, images, labels, threat, head, message = BAD[case]
    with pytest.raises((AttackError, HeadError), match=message) as caught:
        run_attack(model, images, labels, attack=PGD(), threat=threat, head=head)
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize("factor", [30.0, 300.0, 0.01])
def test_scaled_logits_are_attacked_alike(factor):
    """Trap: the same decisions with over-confident logits. Oracle: the model itself."""
    images, labels = pneumonia_films(48)
    scaled = Changed(pneumonia_model(), lambda inner, x: factor * inner(x))
    common = {"threat": ThreatModel.grey_levels(3), "head": SigmoidHead()}
    for loss in ("cross_entropy", "margin", "dlr"):
        plain = run_attack(pneumonia_model(), images, labels, attack=PGD(loss=loss), **common)
        other = run_attack(scaled, images, labels, attack=PGD(loss=loss), **common)
        assert abs(plain.robust_share - other.robust_share) <= 1.5 / 48


def test_log_softmax_outputs_are_attacked_alike():
    model, images = Linear(3), inner_images(24)
    logs = Changed(model, lambda inner, x: inner(x).log_softmax(dim=1))
    labels = predicted(model, images)
    common = {"attack": PGD(loss="cross_entropy"), "threat": ThreatModel(eps=0.05), "head": SoftmaxHead(num_classes=3)}
    plain, other = run_attack(model, images, labels, **common), run_attack(logs, images, labels, **common)
    assert torch.equal(plain.success, other.success)


def test_hide_and_invent_are_about_their_own_films():
    images, labels = pneumonia_films(48)
    for goal, own in (("hide", 1), ("invent", 0)):
        threat = ThreatModel.grey_levels(8, goal=goal)
        result = run_attack(pneumonia_model(), images, labels, attack=PGD(), threat=threat, head=SigmoidHead())
        assert torch.equal(result.eligible, labels == own)
        assert int(result.success.sum()) > 0
        assert not bool((result.success & ~result.eligible).any())


def test_one_finding_of_several_is_hidden():
    """Oracle: the other findings are never the reason of a success."""
    model, images = Linear(3), inner_images(24)
    labels = (model(images) > 0).long()
    threat = ThreatModel(eps=0.2, goal="hide", target=1)
    result = run_attack(model, images, labels, attack=PGD(), threat=threat, head=MultiLabelHead(num_findings=3))
    flipped = ((model(result.adversarial) > 0).long() != labels)[:, 1]
    assert torch.equal(result.eligible, labels[:, 1] == 1)
    assert int(result.success.sum()) > 0
    assert bool(flipped[result.success].all())


@pytest.mark.parametrize("volume", [False, True], ids=["2d", "3d"])
@pytest.mark.parametrize("sigmoid", [False, True], ids=["softmax", "sigmoid"])
def test_segmentation_of_images_and_volumes(volume, sigmoid):
    """A 1x1 convolution as the segmenter: every pixel can be moved across by its own distance to the threshold."""
    make = nn.Conv3d if volume else nn.Conv2d
    model = make(1, 1 if sigmoid else 2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([8.0] if sigmoid else [-4.0, 4.0]).reshape(model.weight.shape))
        model.bias.copy_(torch.tensor([-4.0] if sigmoid else [2.0, -2.0]))
    images = torch.rand((6, 1, 6, 6, 6) if volume else (6, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    labels = (images[:, 0] > 0.5).long()
    head = DenseSigmoidHead() if sigmoid else DenseSoftmaxHead(num_classes=2)
    criterion = DiceBelow(threshold=0.6)
    strong = run_attack(
        model, images, labels, attack=PGD(), threat=ThreatModel(eps=0.3), head=head, criterion=criterion
    )
    expected = _dice((images + 0.3 * torch.where(images > 0.5, -1, 1)).clamp(0, 1)[:, 0] > 0.5, labels == 1)
    assert torch.equal(strong.success, expected < 0.6)
    assert int(strong.success.sum()) > 3
    assert torch.all(strong.damage <= 1 - expected + 1e-5)
    assert bool(torch.allclose(strong.clean_damage, torch.zeros(6)))
    weak = run_attack(model, images, labels, attack=PGD(), threat=ThreatModel(eps=0.05), head=head, criterion=criterion)
    exact = _dice((images + 0.05 * torch.where(images > 0.5, -1, 1)).clamp(0, 1)[:, 0] > 0.5, labels == 1)
    assert torch.allclose(weak.damage, 1 - exact, atol=0.02)


def _dice(predicted_mask, truth):
    both = (predicted_mask & truth).flatten(1).sum(dim=1)
    return 2.0 * both / (predicted_mask.flatten(1).sum(dim=1) + truth.flatten(1).sum(dim=1))


def test_share_of_decisions():
    """All findings must flip for share 1, one for share 0. Oracle: counted by hand."""
    model, images = Linear(3), inner_images(24)
    labels = (model(images) > 0).long()
    for share, needed in ((0.0, 1), (0.5, 2), (1.0, 3)):
        result = run_attack(
            model,
            images,
            labels,
            attack=PGD(steps=20),
            threat=ThreatModel(eps=0.2),
            head=MultiLabelHead(num_findings=3),
            criterion=WrongDecisions(share=share),
        )
        flips = ((model(result.adversarial) > 0).long() != labels).sum(dim=1)
        assert bool((flips[result.success] >= needed).all())
        assert int(result.success.sum()) > 0


def test_points_of_others_count_only_inside_the_bound():
    model, images = Linear(2), inner_images(6)
    labels = predicted(model, images)
    step = 0.3 * torch.sign(model.weight[1] - model.weight[0]).reshape(1, 4, 4).detach()
    points = (images + torch.where(labels == 0, 1, -1)[:, None, None, None] * step).clamp(0, 1)
    common = {"threat": ThreatModel(eps=0.3), "head": SoftmaxHead(num_classes=2)}
    good = check_points(model, images, points, labels, **common)
    bad = check_points(model, images, points, labels, threat=ThreatModel(eps=0.1), head=SoftmaxHead(num_classes=2))
    assert bool(good.success.all())
    assert good.flags["out_of_bounds"] == 0
    assert not bool(bad.success.any())
    assert bad.flags["out_of_bounds"] == 1


def test_images_from_noise_convince_the_model():
    images, _ = pneumonia_films(4)
    threat = ThreatModel(eps=float("inf"), goal="targeted", target=1)
    result = run_attack(
        pneumonia_model(),
        torch.zeros_like(images),
        torch.zeros(4),
        attack=_attack("fooling"),
        threat=threat,
        head=SigmoidHead(),
        criterion=Confident(probability=0.8),
    )
    with torch.no_grad():
        p = torch.sigmoid(pneumonia_model()(result.adversarial)[:, 0])
    assert bool((p >= 0.8).all())


def test_progress_rises_to_one():
    told = []
    images, labels = pneumonia_films(16)
    run_attack(
        pneumonia_model(),
        images,
        labels,
        attack=PGD(),
        threat=ThreatModel(eps=0.001),
        head=SigmoidHead(),
        progress=lambda name, share: told.append((name, share)),
    )
    shares = [share for _, share in told]
    assert {name for name, _ in told} == {"pgd"}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_cw_moves_pixels_at_the_ends_of_the_range():
    """Trap: tanh space has no gradient at 0 and 1."""
    model = Linear(2)
    images = torch.cat([torch.zeros(4, 1, 4, 2), torch.ones(4, 1, 4, 2)], dim=3)
    labels = predicted(model, images)
    result = run_attack(
        model,
        images,
        labels,
        attack=registry.build("attack", {"name": "cw", "rate": 0.05}),
        threat=ThreatModel(norm="l2", eps=4.0),
        head=SoftmaxHead(num_classes=2),
    )
    assert bool(result.success.all())
    assert float((result.adversarial - images).abs().amax()) > 0.1


def test_square_needs_no_gradient():
    """Trap: rounding hides every gradient; the model itself is as weak as before."""
    model, images = Linear(2), inner_images(12)
    hidden = Changed(model, lambda inner, x: inner((x * 64).round() / 64))
    labels = predicted(hidden, images)
    common = {"threat": ThreatModel(eps=0.3), "head": SoftmaxHead(num_classes=2)}
    blind = run_attack(hidden, images, labels, attack=PGD(random_start=False), **common)
    square = run_attack(hidden, images, labels, attack=Square(queries=200), **common)
    whole = run_attack(
        hidden, images, labels, attack=Ensemble(steps=5, restarts=1, queries=5, blind_queries=200), **common
    )
    assert blind.flags["zero_gradient"] == 1
    assert int(square.success.sum()) > int(blind.success.sum())
    assert int(whole.success.sum()) >= int(square.success.sum()) - 1

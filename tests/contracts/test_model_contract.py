"""What every model must do on a tiny input; a new line in MODELS is picked up by itself. Oracle: the Model protocol."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from medfed.errors import ScenarioError
from medfed.models import MODELS
from medfed.models.contract import Model
from medfed.training.heads import class_logits
from medfed.types import Task

TASKS = {
    "softmax": Task("classification", ("a", "b", "c"), "softmax", 3, 32),
    "sigmoid": Task("classification", ("a", "b"), "sigmoid", 1, 28),
    "large": Task("classification", ("a", "b"), "softmax", 1, 72),
    "masks": Task("segmentation", ("background", "a", "b"), "softmax", 3, 32),
    "mask": Task("segmentation", ("background", "a"), "sigmoid", 1, 20),
}
CASES = [
    pytest.param(name, task, id=f"{name}-{label}")
    for name, cls in MODELS.items()
    for label, task in TASKS.items()
    if task.kind in cls.kinds
]
every_model = pytest.mark.parametrize(("name", "task"), CASES)


def _build(name: str, task: Task, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MODELS[name]()(task)


def _batch(task: Task, size: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(size, task.channels, task.image_size, task.image_size, generator=generator)
    shape = (size,) if task.kind == "classification" else (size, task.image_size, task.image_size)
    return images, torch.randint(task.num_classes, shape, generator=generator)


@every_model
def test_keeps_the_protocol(name, task):
    assert isinstance(MODELS[name](), Model)
    assert set(MODELS[name].kinds) <= {"classification", "segmentation"}


@every_model
def test_gives_one_logit_per_output(name, task):
    images, targets = _batch(task)
    logits = _build(name, task)(images)
    assert logits.shape == (targets.shape[0], task.num_outputs, *targets.shape[1:])
    assert logits.isfinite().all()


@every_model
def test_the_global_seed_decides_the_weights(name, task):
    one, same, other = _build(name, task), _build(name, task), _build(name, task, seed=1)
    equal = [torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True)]
    assert all(equal)
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@every_model
def test_a_small_step_against_the_gradient_lowers_the_loss(name, task):
    """Every parameter has a finite gradient, and together they point uphill. Oracle: first-order Taylor expansion."""
    model, (images, targets) = _build(name, task), _batch(task)
    parameters = list(model.parameters())
    before = functional.cross_entropy(class_logits(model(images)), targets)
    gradients = torch.autograd.grad(before, parameters)
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    assert norm.isfinite()
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= 1e-3 * gradient / norm
        after = functional.cross_entropy(class_logits(model(images)), targets)
    drop = float(before.detach() - after)
    assert drop == pytest.approx(1e-3 * float(norm), rel=0.5)


@every_model
def test_images_of_a_batch_do_not_see_each_other(name, task):
    """In evaluation mode an image's logits are the same alone and in company (up to the order of summation)."""
    model, (images, _) = _build(name, task).eval(), _batch(task)
    with torch.no_grad():
        torch.testing.assert_close(model(images)[:1], model(images[:1]), rtol=1e-4, atol=1e-4)


@every_model
@pytest.mark.parametrize("norm", ["group", "batch", "instance"])
def test_only_batch_norm_carries_statistics(name, task, norm):
    model = MODELS[name](norm=norm)(task)
    assert bool(list(model.buffers())) == (norm == "batch")


@every_model
def test_the_smallest_images_work_or_are_refused_by_name(name, task):
    smallest = Task(task.kind, task.classes, task.head, task.channels, 8)
    images, _ = _batch(smallest)
    for norm in ("group", "batch", "instance"):
        try:
            model = MODELS[name](norm=norm)(smallest)
        except ScenarioError as error:
            assert "image_size" in str(error)  # noqa: PT017 - both outcomes are allowed
            continue
        assert model(images).isfinite().all()

"""What every inversion attack must keep, behind the engine; a new line in INVERSIONS is picked up by itself.

Oracles: the Protocol; bytes before and after; the loss computed here anew by autograd; laws (a seed gives one result,
limits bound the number of evaluations, a limit of memory changes no number).
"""

import contextlib
import random
from typing import Any

import numpy as np
import pydantic
import pytest
import torch
from torch import Tensor, nn

from medfed import registry
from medfed.training.losses.bce import BinaryCrossEntropy
from medfed.types import Task
from privacy.inversion import INVERSIONS
from privacy.inversion.contract import Inversion, Reconstruction
from privacy.inversion.engine import run_inversion
from privacy.inversion.errors import InversionError
from privacy.inversion.observation import Observation
from privacy.inversion.settings import InversionSettings
from tests.privacy.inversion.cases import dense, gradient, pictures

OWN = "tests.contracts.own_inversion:Careless"
SHORT = {"iterations": 6, "restarts": 2}

every_attack = pytest.mark.parametrize("name", [*INVERSIONS, OWN])


def build(name: str) -> Inversion:
    fields = registry.lookup("inversion", name).__pydantic_fields__
    attack: Inversion = registry.build("inversion", {"name": name, **{k: v for k, v in SHORT.items() if k in fields}})
    return attack


def with_batch_norm() -> nn.Module:
    """Linear on all pixels, so that every attack can serve it; with batch statistics and dropout."""
    torch.manual_seed(0)
    parts = list(dense())
    return nn.Sequential(*parts[:3], nn.BatchNorm1d(16), nn.Sigmoid(), nn.Dropout(0.5), parts[4])


def observation(model: nn.Module | None = None, count: int = 1, **fields: Any) -> Observation:
    return gradient(model or dense(), pictures(count), torch.arange(count) % 4, **fields)


def run(name: str, seen: Observation, **settings: Any) -> Reconstruction:
    return run_inversion(seen, attack=build(name), settings=InversionSettings(**settings))


@every_attack
def test_keeps_the_protocol(name: str) -> None:
    attack = build(name)
    assert isinstance(attack, Inversion)
    assert attack.precision in ("float32", "float64")


@every_attack
@pytest.mark.parametrize("count", [1, 3])
def test_images_and_labels_have_their_form(name: str, count: int) -> None:
    found = run(name, observation(count=count))
    assert found.images.shape == (count, 1, 8, 8)
    assert found.images.dtype == torch.float32
    assert 0.0 <= float(found.images.min()) <= float(found.images.max()) <= 1.0
    assert found.labels.shape == (count,)
    assert found.labels.dtype == torch.int64
    assert 0 <= int(found.labels.min()) <= int(found.labels.max()) < 4
    losses = [loss for _, loss in found.trajectory]
    assert losses == sorted(losses, reverse=True)
    assert found.trajectory[-1][0] == found.iterations


@every_attack
def test_the_loss_is_that_of_the_images_it_gives(name: str) -> None:
    seen = observation(count=2)
    found = run(name, seen)
    again = gradient(dense(), found.images, found.labels)
    a, b = (torch.cat([value.flatten() for value in o.change.values()]).double() for o in (seen, again))
    assert found.loss == pytest.approx(1.0 - float(a @ b / (a.norm() * b.norm())), abs=1e-5)


@every_attack
def test_the_seed_alone_decides(name: str) -> None:
    seen = observation(count=2)
    one = run(name, seen, seed=3)
    torch.rand(7)
    np.random.rand(7)
    other = run(name, seen, seed=3)
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.labels, other.labels)
    assert one.trajectory == other.trajectory


def state(seen: Observation) -> list[bytes]:
    tensors: list[Tensor] = [*seen.model.state_dict().values(), *seen.weights.values(), *seen.change.values()]
    tensors += [parameter.grad for parameter in seen.model.parameters() if parameter.grad is not None]
    flags = [m.training for m in seen.model.modules()] + [p.requires_grad for p in seen.model.parameters()]
    flags += [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in seen.model.modules()]
    drawn = [torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes()]
    return [*(t.numpy().tobytes() for t in tensors), repr(flags).encode(), *drawn]


@every_attack
@pytest.mark.parametrize("train", [True, False], ids=["batch statistics", "running statistics"])
def test_nothing_of_the_model_is_touched(name: str, train: bool) -> None:
    model = with_batch_norm()
    seen = observation(model, count=3, train=train)
    model.train()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before, pythons = state(seen), random.getstate()
    with contextlib.suppress(InversionError):  # a closed form refuses what it cannot serve, and touches nothing either
        run(name, seen)
    assert state(seen) == before
    assert random.getstate()[0] == pythons[0]


@every_attack
def test_an_unknown_key_and_a_wrong_type_are_refused(name: str) -> None:
    cls = registry.lookup("inversion", name)
    with pytest.raises(pydantic.ValidationError, match="no_such_field"):
        cls(no_such_field=1)
    for field, info in cls.__pydantic_fields__.items():
        if info.annotation in (int, float, bool):
            with pytest.raises(pydantic.ValidationError):
                cls(**{field: "1"})


@pytest.mark.parametrize("name", INVERSIONS)
def test_limits_are_kept_and_named(name: str) -> None:
    found = run(name, observation(), max_iterations=1)
    assert found.iterations == 1
    assert found.stopped == "iterations"
    stopped = run_inversion(observation(), attack=build(name), stop=lambda: True)
    assert stopped.iterations == 1
    assert stopped.stopped == "asked"
    assert run(name, observation(), goal=2.0**40).stopped == "converged"


@every_attack
def test_progress_grows_and_ends(name: str) -> None:
    told: list[tuple[float, float]] = []
    run_inversion(observation(), attack=build(name), progress=lambda done, loss: told.append((done, loss)))
    shares = [done for done, _ in told]
    assert shares == sorted(shares)
    assert all(0.0 < share <= 1.0 for share in shares)


@every_attack
def test_a_limit_of_memory_changes_no_number(name: str) -> None:
    seen = observation(count=2)
    little, much = run(name, seen, max_bytes=1), run(name, seen, max_bytes=2**31)
    torch.testing.assert_close(little.images, much.images, rtol=0, atol=1e-4)


@every_attack
def test_known_labels_are_kept_in_their_order(name: str) -> None:
    labels = torch.tensor([3, 0])
    seen = gradient(dense(), pictures(2), labels).replace(labels=labels)
    assert torch.equal(run(name, seen).labels, labels)


@every_attack
def test_a_sigmoid_head_is_served(name: str) -> None:
    task = Task("classification", ("a", "b"), "sigmoid", 1, 8)
    seen = gradient(dense(1), pictures(1), torch.tensor([1]), task=task, loss=BinaryCrossEntropy())
    assert run(name, seen).labels.tolist() == [1]


@every_attack
def test_a_segmentation_is_served_or_refused_in_one_line_where_there_is_no_linear_layer(name: str) -> None:
    task = Task("segmentation", ("background", "finding"), "softmax", 1, 8)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, 1, 1), nn.SiLU(), nn.Conv2d(4, 2, 1))
    mask = (pictures(1)[:, 0] > 0.5).long()
    seen = gradient(model, pictures(1), mask, task=task)
    if name in ("first_layer", "recursive"):
        with pytest.raises(InversionError, match=r"^[^\n]*expected[^\n]*$"):
            run(name, seen)
    else:
        assert run(name, seen).labels.shape == mask.shape

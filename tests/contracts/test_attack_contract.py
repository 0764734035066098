"""What every attack must keep, behind the enforcer; a new line in ATTACKS is picked up by itself, as is a user's own.

Oracles: the Protocol and the threat model, whose bounds are computed here anew; bytes before and after; laws (a seed
gives one result, what cannot be attacked stays, a limit of memory changes no number where nothing is drawn, nor do the
units of eps).
"""

from typing import get_args

import numpy as np
import pydantic
import pytest
import torch
from torch import nn

from medfed import registry
from robustness.attacks import ATTACKS
from robustness.attacks.contract import Attack, AttackError
from robustness.attacks.enforcer import run_attack
from robustness.attacks.threat import Norm
from tests.contracts.attack_cases import (
    HEADS,
    OWN,
    SOFTMAX,
    UNIT,
    answers,
    build,
    images,
    network,
    require_inside,
    run,
    served,
    threat,
)

every_attack = pytest.mark.parametrize("name", [*ATTACKS, OWN])


@every_attack
def test_keeps_the_protocol(name: str) -> None:
    attack = build(name)
    assert isinstance(attack, Attack)
    assert attack.norms
    assert set(attack.norms) <= set(get_args(Norm))
    assert all(isinstance(flag, bool) for flag in (attack.needs_gradient, attack.minimises, attack.whole_set))


@every_attack
def test_every_point_is_inside_bound_and_range(name: str) -> None:
    for norm in build(name).norms:
        x = images()
        found = run(name, norm, x)
        require_inside(found, x, threat(name, norm))
        assert bool((found.distances[found.success].nan_to_num(0.0) <= threat(name, norm).eps * (1 + 1e-4)).all())


@every_attack
def test_the_seed_alone_decides(name: str) -> None:
    norm, x = build(name).norms[0], images()
    one = run(name, norm, x, seed=3)
    torch.rand(7)
    np.random.rand(7)
    other = run(name, norm, x, seed=3)
    assert torch.equal(one.adversarial, other.adversarial)
    assert torch.equal(one.success, other.success)
    assert one.forward_images == other.forward_images


def state(model: nn.Module) -> list[bytes]:
    """All but Python's own generator, from which beartype's checks draw in these tests."""
    tensors = [*model.state_dict().values(), *(p.grad for p in model.parameters())]
    flags = [module.training for module in model.modules()] + [p.requires_grad for p in model.parameters()]
    drawn = [torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes()]
    return [*(t.numpy().tobytes() for t in tensors), repr(flags).encode(), *drawn]


@every_attack
def test_nothing_of_the_model_is_touched(name: str) -> None:
    model, x = network(3), images()
    next(model.parameters()).requires_grad_(False)
    labels = answers(model, x, SOFTMAX)
    before, clean = state(model), x.clone()
    attack = build(name)
    run_attack(model, x, labels, attack=attack, threat=threat(name, attack.norms[0]), head=SOFTMAX)
    assert state(model) == before
    assert torch.equal(x, clean)


@every_attack
def test_an_unknown_key_and_a_wrong_type_are_refused(name: str) -> None:
    cls = registry.lookup("attack", name)
    with pytest.raises(pydantic.ValidationError, match="no_such_field"):
        cls(no_such_field=1)
    for field, info in cls.__pydantic_fields__.items():
        if info.annotation in (int, float, bool):
            with pytest.raises(pydantic.ValidationError):
                cls(**{field: "1"})


@every_attack
def test_a_norm_that_it_cannot_serve_is_refused_in_one_line_with_those_that_can(name: str) -> None:
    attack = build(name)
    for norm in set(get_args(Norm)) - set(attack.norms):
        with pytest.raises(AttackError, match=f"expected norm .*; got {norm}; for {norm} use ") as error:
            run(name, norm, images())
        assert "\n" not in str(error.value)


@every_attack
@pytest.mark.parametrize("head", HEADS)
def test_a_head_is_served_or_refused_in_one_line(name: str, head: str) -> None:
    norm, x = build(name).norms[0], images(2)
    found, refusal = served(name, norm, x, HEADS[head][0])
    assert "\n" not in refusal
    if found is None:
        assert "expected" in refusal
    else:
        require_inside(found, x, threat(name, norm))


@every_attack
def test_what_the_goal_is_not_about_stays_as_it_is(name: str) -> None:
    """No image is of the class to be hidden."""
    model, x, attack = network(3), images(), build(name)
    labels = answers(model, x, SOFTMAX)
    absent = next(c for c in range(3) if c not in labels.tolist()) if len(set(labels.tolist())) < 3 else None
    x, labels = (x, labels) if absent is not None else (x[labels != 0], labels[labels != 0])
    aim = threat(name, attack.norms[0], goal="hide", target=absent or 0)
    found = run_attack(model, x, labels, attack=attack, threat=aim, head=SOFTMAX)
    assert not bool(found.eligible.any())
    assert torch.equal(found.adversarial, x)
    assert np.isnan(found.robust_share)


@every_attack
def test_images_that_are_wrong_already_are_not_attacked(name: str) -> None:
    model, x, attack = network(3), images(), build(name)
    labels = (answers(model, x, SOFTMAX) + 1) % 3
    found = run_attack(model, x, labels, attack=attack, threat=threat(name, attack.norms[0]), head=SOFTMAX)
    assert bool(found.clean_success.all())
    assert torch.equal(found.adversarial, x)
    assert found.gradient_images == 0


@every_attack
def test_a_single_image_is_served(name: str) -> None:
    norm = build(name).norms[0]
    x = images(1)
    require_inside(run(name, norm, x), x, threat(name, norm))


@every_attack
def test_a_volume_is_served_or_refused_in_one_line(name: str) -> None:
    norm, x = build(name).norms[0], images(2, dimensions=3)
    found, refusal = served(name, norm, x)
    assert "\n" not in refusal
    if found is None:
        assert norm == "spatial", "only what moves pixels in a plane may refuse a volume"
    else:
        require_inside(found, x, threat(name, norm))


@every_attack
def test_a_limit_of_memory_changes_no_number_where_nothing_is_drawn(name: str) -> None:
    """With one byte every image is searched by itself; what draws random numbers draws others then."""
    attack, x = build(name), images()
    norm = attack.norms[0]
    little, much = run(name, norm, x, max_bytes=1), run(name, norm, x, max_bytes=2**31)
    require_inside(little, x, threat(name, norm))
    seeds = [run(name, norm, x, seed=seed).adversarial for seed in (0, 1)]
    if attack.whole_set or not torch.equal(*seeds):
        return
    torch.testing.assert_close(little.adversarial, much.adversarial, rtol=0, atol=1e-4)
    assert torch.equal(little.success, much.success)


@every_attack
def test_the_same_threat_in_other_units_gives_the_same_result(name: str) -> None:
    """A power of two changes no digit but the exponent."""
    x = images()
    for norm in (norm for norm in build(name).norms if norm in ("linf", "l2")):
        one, other = run(name, norm, x), run(name, norm, x, unit=UNIT * 2.0**14)
        torch.testing.assert_close(other.adversarial, one.adversarial, rtol=0, atol=1e-5)
        torch.testing.assert_close(other.distances, one.distances * 2.0**14, rtol=1e-3, atol=0, equal_nan=True)
        assert torch.equal(other.success, one.success)

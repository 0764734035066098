"""What every behaviour must keep; a new line in BYZANTINE is picked up by itself.

Oracles: the Protocol, and laws: the length of what is sent, the generator decides all, no argument is written to.
"""

import numpy as np
import pytest
import torch

from robustness.byzantine import BYZANTINE
from robustness.byzantine.contract import Byzantine, Cast
from tests.robustness.byzantine.views import BINARY, films, normal, view

CAST = Cast(20, 4, 4)

every_behaviour = pytest.mark.parametrize("name", BYZANTINE)


@every_behaviour
def test_keeps_the_protocol(name: str) -> None:
    behaviour = BYZANTINE[name]()
    assert isinstance(behaviour, Byzantine)
    assert isinstance(behaviour.colludes, bool)
    assert behaviour.misfit(BINARY, CAST) == ""
    assert behaviour.claim(12) >= 12


@every_behaviour
def test_sends_a_float32_vector_of_the_same_length_and_writes_to_nothing(name: str) -> None:
    seen = view(normal(4, 30))
    own, known = seen.own.clone(), seen.known.clone()
    sent = BYZANTINE[name]()(seen, np.random.default_rng(1))
    assert (sent.shape, sent.dtype) == (own.shape, torch.float32)
    assert torch.equal(seen.own, own)
    assert torch.equal(seen.known, known)


@every_behaviour
def test_departs_from_honesty_somewhere(name: str) -> None:
    behaviour, seen, images = BYZANTINE[name](), view(normal(4, 30)), films(20)
    sent = behaviour(seen, np.random.default_rng(1))
    poisoned = behaviour.poison(images, BINARY, np.random.default_rng(1))
    same_images = poisoned is images
    assert not (torch.equal(sent, seen.own) and same_images and behaviour.claim(9) == 9)


@every_behaviour
def test_the_generator_decides_all_that_is_drawn(name: str) -> None:
    behaviour, images = BYZANTINE[name](), films(20)

    def twice(seed: int) -> tuple[bytes, bytes, bytes]:
        torch.manual_seed(seed)
        np.random.seed(seed)
        poisoned = behaviour.poison(images, BINARY, np.random.default_rng(5))
        pixels, targets = poisoned.images[poisoned.rows], poisoned.targets[poisoned.rows]
        sent = behaviour(view(normal(4, 30)), np.random.default_rng(5))
        return pixels.tobytes(), targets.tobytes(), sent.numpy().tobytes()

    assert twice(0) == twice(1)


@every_behaviour
def test_what_does_not_collude_needs_no_other_update(name: str) -> None:
    behaviour = BYZANTINE[name]()
    if behaviour.colludes:
        pytest.skip("needs the honest updates of others")
    many = view(normal(4, 30))
    alone = type(many)(many.own, torch.empty(0, 30), many.num_sites, many.num_malicious, many.round)
    sent, same = (behaviour(seen, np.random.default_rng(2)) for seen in (many, alone))
    torch.testing.assert_close(sent, same, rtol=0.0, atol=0.0, equal_nan=True)

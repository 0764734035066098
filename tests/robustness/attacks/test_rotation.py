"""How far points move under rotation and shift.

Oracle: images whose values are their own coordinates, which bilinear interpolation leaves exact, so that every value
says where its point came from.
"""

import pytest
import torch

from robustness.attacks import Rotation
from robustness.attacks.enforcer import run_attack
from robustness.attacks.heads import SoftmaxHead
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel
from tests.robustness.attacks.setups import Changed, Linear

SCALE = 256.0


@pytest.mark.parametrize("eps", [1.0, 4.0])
@pytest.mark.parametrize(("height", "width"), [(32, 128), (128, 32), (48, 48)])
def test_no_point_moves_further_than_eps(height, width, eps):
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([rows / SCALE, columns / SCALE, torch.ones(height, width)])[None]
    lengths = []

    def never_fooled(_, points):
        from_inside = points[:, 2] > 1 - 1e-5
        moved = SCALE * (points.detach() - image)[:, :2].norm(dim=1)
        lengths.append(float(moved[from_inside].max()))
        return torch.tensor([[1.0, 0.0]]) + 0 * points.sum()

    run_attack(
        Changed(Linear(2), never_fooled),
        image,
        torch.tensor([0]),
        attack=Rotation(),
        threat=ThreatModel(norm="spatial", eps=eps),
        head=SoftmaxHead(num_classes=2),
        settings=RunSettings(stop_when_fooled=False),
    )
    assert 0.9 * eps < max(lengths) <= eps + 1e-2

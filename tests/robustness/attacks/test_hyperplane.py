"""The way to a hyperplane inside the range. Oracles: general solvers of scipy (a linear programme for linf, sequential
quadratic programming for l2), and cases by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize

from robustness.attacks.hyperplane import onto
from robustness.attacks.projection import Bounds
from robustness.attacks.threat import Norm, ThreatModel

Row = NDArray[np.float64]
SIZE = 5
UNITS = (1.0, 4.0)
"""Units of eps per 1.0 of the input, of the two channels."""

levels = st.lists(st.floats(0.0, 1.0), min_size=2 * SIZE, max_size=2 * SIZE).map(np.array)
slopes = st.lists(st.floats(-3.0, 3.0) | st.just(0.0), min_size=2 * SIZE, max_size=2 * SIZE).map(np.array)
shares = st.floats(-1.3, 1.3)
"""Of the gain that the range allows; beyond 1 it ends first."""


def moved(points: Row, slope: Row, gain: float, norm: Norm) -> Row:
    """``onto`` of one image of two channels."""
    images, by_value = (torch.from_numpy(values).reshape(1, 2, SIZE, 1) for values in (points, slope))
    bounds = Bounds.of(ThreatModel(eps=1.0, norm=norm, per_unit=UNITS), images)
    return onto(images, by_value, torch.tensor([gain], dtype=torch.float64), bounds).numpy().ravel()


def reach(points: Row, slope: Row, sign: float) -> float:
    """How much ``slope . x`` can rise (sign 1) or fall (-1) inside the range."""
    up = np.where(sign * slope > 0, 1.0 - points, points)
    return float((np.abs(slope) * up).sum())


def least(points: Row, slope: Row, gain: float, norm: Norm, units: Row) -> float:
    """The length of the shortest change with that gain, by a solver that knows nothing of its form."""
    size = len(points)
    if norm == "linf":
        eye = np.diag(units)
        above = np.vstack([np.c_[eye, -np.ones(size)], np.c_[-eye, -np.ones(size)]])
        room = [*zip(-points, 1.0 - points, strict=True), (0, None)]
        cost, equal = np.r_[np.zeros(size), 1.0], np.r_[slope, 0.0][None]
        found = linprog(cost, A_ub=above, b_ub=np.zeros(2 * size), A_eq=equal, b_eq=[gain], bounds=room)
        assert found.success, found.message
        return float(found.fun)
    by_unit = slope / units
    room = list(zip(-points * units, (1.0 - points) * units, strict=True))
    found = minimize(
        lambda y: float(y @ y) / 2,
        np.clip(by_unit * gain, *np.array(room).T),
        jac=lambda y: y,
        bounds=room,
        constraints={"type": "eq", "fun": lambda y: by_unit @ y - gain, "jac": lambda y: by_unit},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert abs(by_unit @ found.x - gain) < 1e-6, found.message
    return float(np.linalg.norm(found.x))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@given(points=levels, slope=slopes, share=shares)
def test_no_shorter_change_inside_the_range_has_that_gain(norm: Norm, points: Row, slope: Row, share: float) -> None:
    slope = np.where(np.abs(slope) < 1e-2, 0.0, slope)  # the solvers' own tolerance; smaller ones are below by hand
    units = np.repeat(UNITS, SIZE)
    most = reach(points, slope, np.sign(share))
    change = moved(points, slope, share * most, norm)
    gain = float(np.clip(share, -1.0, 1.0)) * most
    assert change @ slope == pytest.approx(gain, abs=1e-9)
    assert bool(((points + change >= -1e-12) & (points + change <= 1 + 1e-12)).all())
    length = np.abs(change * units).max() if norm == "linf" else np.linalg.norm(change * units)
    assert length == pytest.approx(least(points, slope, gain, norm, units), abs=2e-4)


@pytest.mark.parametrize("faint", [1e-6, 1e-12, 1e-30])
def test_a_pixel_that_hardly_matters_does_not_spoil_the_length(faint: float) -> None:
    """Gradients of a network differ by many orders; the way is that along the large one."""
    images = torch.full((1, 1, 1, 2), 0.5)
    slope = torch.tensor([1.0, faint]).reshape(images.shape)
    change = onto(images, slope, torch.tensor([0.1]), Bounds.of(ThreatModel(eps=1.0, norm="l2"), images))
    torch.testing.assert_close(change.flatten(), torch.tensor([0.1, 0.1 * faint]))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_without_a_slope_or_a_gain_nothing_moves(norm: Norm) -> None:
    images = torch.full((2, 1, 1, 2), 0.5)
    slope = torch.tensor([[0.0, 0.0], [1.0, 2.0]]).reshape(images.shape)
    change = onto(images, slope, torch.tensor([0.3, 0.0]), Bounds.of(ThreatModel(eps=1.0, norm=norm), images))
    assert torch.equal(change, torch.zeros_like(images))

"""Gaussian noise on integers: P(y) proportional to exp(-y^2 / (2 sigma^2)), y = ..., -1, 0, 1, ...

Integers, because what is summed under secure aggregation are integers modulo 2^b, and a sum of rounded numbers is no
function of the rounded sum. Of n independent draws the sum is private as a Gaussian of variance n sigma^2 is, in Renyi
divergences of any order, up to a term that shrinks with exp(-pi^2 sigma^2) (Kairouz, Liu and Steinke, "The Distributed
Discrete Gaussian Mechanism", ICML 2021, Proposition 14).
"""

import math

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy.special import ndtr

from privacy.noise import Normal


def discrete_gaussian(number: int, sigma: float, normal: Normal) -> Int64[ndarray, " number"]:
    """Independent draws, by rejection from rounded continuous ones.

    y = round(sigma g) comes with the mass of its interval, and is kept with a probability proportional to exp(-y^2 / (2
    sigma^2)) / mass, which is largest at 0 since cosh(u y / sigma^2) grows with |y|.

    Args:
        number: of draws, at least 0.
        sigma: above 0.
        normal: standard normal draws; the coins of the rejection are drawn from it as well.
    """
    if not (sigma > 0.0 and math.isfinite(sigma)):
        raise ValueError(f"sigma must be finite and above 0, got {sigma}")
    found = np.empty(0, dtype=np.int64)
    while len(found) < number:
        wanted = number - len(found)
        proposed = np.rint(sigma * normal(wanted))
        kept = proposed[ndtr(normal(wanted)) < _acceptance(proposed, sigma)]
        found = np.concatenate([found, kept.astype(np.int64)])
    return found


def _acceptance(proposed: Float64[ndarray, " number"], sigma: float) -> Float64[ndarray, " number"]:
    """The probability with which a draw is kept; at 0 it is 1."""
    size = np.abs(proposed)
    mass = ndtr((0.5 - size) / sigma) - ndtr((-0.5 - size) / sigma)  # both in the lower tail, where nothing cancels
    at_zero = 2.0 * ndtr(0.5 / sigma) - 1.0
    density = np.exp(-0.5 * (size / sigma) ** 2) * at_zero
    found: Float64[ndarray, " number"] = np.divide(density, mass, out=np.zeros_like(mass), where=mass > 0.0)
    return found

"""Epsilon from privacy loss random variables, by Opacus (Gopi, Lee and Wutschitz, NeurIPS 2021).

Convolved like :mod:`privacy.accountants.pld`, with a mesh that bounds the error of epsilon before it is computed. The
direction "removed" alone is computed, which is the larger of the two for sampled Gaussian queries (Zhu, Dong and Wang,
AISTATS 2022).
"""

import warnings
from typing import Annotated

import numpy as np
from pydantic import Field

from medfed.errors import ScenarioError
from medfed.registry import plugin
from privacy.accountants.contract import Composition, checked, require_add_remove
from privacy.accountants.pld import reach_of

_LARGEST = 300.0  # its densities overflow at exp(709), and its mesh takes minutes long before


@plugin
class Prv:
    """Privacy loss random variables: tight, with a stated error, and independent of the default's code.

    Attributes:
        error: of epsilon, absolute, and on the safe side.
    """

    error: Annotated[float, Field(gt=0.0, le=0.1, allow_inf_nan=False)] = 0.01

    def __call__(self, composition: Composition, delta: float) -> float:
        """Epsilon, see :class:`privacy.accountants.contract.Accountant`."""
        from opacus.accountants import PRVAccountant

        require_add_remove(checked(composition, delta), "PRV")
        if not composition.steps:
            return 0.0
        if reach_of(composition.steps) > _LARGEST:
            raise ScenarioError('PRV computes no epsilons this large; use accountant = "pld"')
        accountant = PRVAccountant()
        accountant.history = [tuple(kind) for kind in composition.steps]
        with np.errstate(divide="ignore"), warnings.catch_warnings():  # log(1 - q) of what is not sampled
            warnings.simplefilter("ignore", UserWarning)  # of a grid of Renyi orders, from which it takes its mesh
            return float(accountant.get_epsilon(delta, eps_error=self.error))

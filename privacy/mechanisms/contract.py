"""What a mechanism of differential privacy is: who adds which noise to what, and what that releases.

A mechanism of the server noises the sum of clipped updates; one of the sites noises each update before it leaves, or
adds a share of the sum's noise; one of training noises every step of a site's training. All see parameters that are
trained, in floating point, and nothing else: buffers of a model take no part.
"""

from collections.abc import Set
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from medfed.types import Weights
from privacy.noise import Normal
from privacy.release import Release
from privacy.training.names import BackendName, TrainingUnit


@dataclass(frozen=True, eq=False)
class ClippedSum:
    """What the server has of a round before noise. All but the first two are known before anyone answers.

    Attributes:
        total: sum over those who answered of weight x clipped update.
        num_within, num_clipped: how many of them had an update of norm at most the bound, and a longer one.
        largest_weight: of any one site that may answer.
        expected_weight: denominator of the mean: the weight of as many average sites as are asked in a round.
        expected_sites: how many sites are asked in a round.
    """

    total: Weights
    num_within: int
    num_clipped: int
    largest_weight: float
    expected_weight: float
    expected_sites: int

    @property
    def largest_share(self) -> float:
        """How much of the mean one site can be: the mean's sensitivity, in bounds."""
        return self.largest_weight / self.expected_weight


@runtime_checkable
class ServerMechanism(Protocol):
    """Noise at a server that is trusted with single updates.

    ``state`` is what it remembers between rounds, as named tensors; empty before round 1.
    """

    trusted: ClassVar[str]

    @property
    def noise_multiplier(self) -> float:
        """Of a whole round: what all that is released in it costs together."""
        ...

    def bound(self, state: Weights) -> float:
        """The longest update that counts in full in this round."""
        ...

    def noisy_mean(self, clipped: ClippedSum, state: Weights, normal: Normal) -> tuple[Weights, Weights]:
        """The mean over the expected weight, noised, and the next state."""
        ...


@runtime_checkable
class SiteMechanism(Protocol):
    """Noise at each site, before anything leaves it."""

    trusted: ClassVar[str]

    def protect(self, change: Weights, trained: Set[str], normal: Normal) -> Weights:
        """What leaves the site in place of ``change``, of the same names.

        Args:
            change: local minus global values, of all entries that travel.
            trained: which entries of the model are trained; the others are buffers.
            normal: standard normal draws.
        """
        ...


@runtime_checkable
class SharedMechanism(Protocol):
    """Noise of which every site adds a share, on integers that nobody but the site sees before they are summed.

    Attributes:
        honest: share of the sites whose noise is counted on.
    """

    trusted: ClassVar[str]

    @property
    def noise_multiplier(self) -> float: ...  # noqa: D102 - of the sum, if all sites add their noise

    @property
    def honest(self) -> float: ...  # noqa: D102

    @property
    def step(self) -> float:
        """What an integer stands for: whatever leaves a site is a multiple of it."""
        ...

    def share(self, change: Weights, trained: Set[str], num_sites: int, normal: Normal) -> Weights:
        """What a site puts under its masks in place of ``change``, of the same names: multiples of ``step``.

        Args:
            change: local minus global values, of all entries that travel.
            trained: which entries of the model are trained; the others are buffers.
            num_sites: that are asked in a round, and share the noise.
            normal: standard normal draws.
        """
        ...

    def least_delivered(self, num_sites: int, num_colluding: int) -> int:
        """How many of ``num_sites`` must deliver before the sum may be opened."""
        ...


@runtime_checkable
class TrainingMechanism(Protocol):
    """Noise in every step of a site's training, for single images or patients (:mod:`privacy.training`).

    Attributes:
        unit: who is protected.
        clip: the longest gradient of a unit that counts in full.
        noise_multiplier: of a step: standard deviation of the noise on the sum / ``clip``.
        backend: how gradients of single images are computed.
        memory_mb: for them, in megabytes.
        multiplicity: over how many augmentations of an image its gradient is averaged, before anything is clipped.
    """

    trusted: ClassVar[str]

    @property
    def unit(self) -> TrainingUnit: ...  # noqa: D102 - see the class

    @property
    def clip(self) -> float: ...  # noqa: D102

    @property
    def noise_multiplier(self) -> float: ...  # noqa: D102

    @property
    def backend(self) -> BackendName: ...  # noqa: D102

    @property
    def memory_mb(self) -> int: ...  # noqa: D102

    @property
    def multiplicity(self) -> int: ...  # noqa: D102

    def noisy_gradient(self, total: Weights, expected: float, normal: Normal) -> Weights:
        """What the optimizer sees of a step.

        Args:
            total: sum of the clipped gradients of the units that were drawn.
            expected: how many are expected to be.
            normal: standard normal draws.
        """
        ...

    def steps_release(self, round_number: int, rate: float, num_steps: int) -> Release:
        """What a site releases in a round in which it takes part.

        Args:
            round_number: from 1.
            rate: probability with which a unit is in a step.
            num_steps: how many steps the round has.
        """
        ...


def noised_at_site(mechanism: object) -> bool:
    """Whether noise is added before anything leaves a site: then nothing of its training leaves without."""
    promises = getattr(mechanism, "protects", True)
    return promises and isinstance(mechanism, TrainingMechanism | SiteMechanism | SharedMechanism)


@runtime_checkable
class Mechanism(Protocol):
    """What mechanisms of the server and of the sites say of themselves.

    A mechanism whose class says ``protects = False`` promises nothing.
    """

    trusted: ClassVar[str]

    def release(self, round_number: int, largest_share: float) -> Release | None:
        """What a site releases in a round in which it takes part; None: nothing that is protected.

        Args:
            round_number: from 1.
            largest_share: how much of the server's mean one site can be.
        """
        ...

"""Randomised smoothing: a certified Euclidean radius for any classifier (Cohen, Rosenfeld and Kolter, ICML 2019).

The smoothed classifier says what the model says most often of the image under Gaussian noise. If its class has
probability at least p > 1/2 under the noise, no change of length below sigma * Phi^-1(p) alters it (Theorem 1, with the
bound 1 - p on all others together, as CERTIFY of section 3.2.2 has it). p is bounded from noisy images by Clopper and
Pearson, so that a certificate is wrong with probability at most alpha, over the draws of the noise.

What it does not promise: anything about the model without noise, about changes that are not bounded in Euclidean length
(a mark, a rotation), or about rounding in floating-point arithmetic. A model that was not trained with noise is seldom
right under it.
"""

from dataclasses import dataclass
from statistics import NormalDist

import torch
from jaxtyping import Float, Int
from scipy.stats import binomtest
from torch import Tensor, nn

from medfed.audit.verdicts import clopper_pearson
from medfed.training.predictions import device_of, evaluating
from robustness.attacks.head_checks import HeadError
from robustness.attacks.heads import Head, SigmoidHead, SoftmaxHead, decisions
from robustness.attacks.threat import PerChannel, per_channel

Image = Float[Tensor, "channel *space"]


@dataclass(frozen=True)
class Certificate:
    """What is certain of one image.

    Attributes:
        prediction: the class of the smoothed classifier; None where it abstains.
        radius: no smaller change of Euclidean length, in the units of sigma, alters it; 0 where it abstains.
        lower_bound: on the probability of the likeliest class under the noise.
    """

    prediction: int | None
    radius: float
    lower_bound: float


def lower_bound(successes: int, num: int, alpha: float) -> float:
    """The one-sided Clopper-Pearson bound: the share under which so many or more successes have probability alpha."""
    return clopper_pearson(successes, num, 1.0 - 2.0 * alpha)[0]


@dataclass(frozen=True, eq=False)
class SmoothedClassifier:
    """The class that ``model`` gives most often under noise N(0, sigma^2) on every pixel and channel.

    The noisy images are not cut to the range: the certificate needs the noise as it is.

    Attributes:
        model: left as it was; run in evaluation mode.
        head: one decision per image: softmax or one sigmoid.
        sigma: standard deviation, in units of which ``per_unit`` make 1.0 of the model's input.
        per_unit: 255 for 8-bit grey levels; per channel where channels differ.
        batch_size: noisy images in one pass; it changes no draw.

    Raises:
        HeadError: the head decides more than one thing per image.
        ValueError: sigma is not above 0.
    """

    model: nn.Module
    head: Head
    sigma: float
    per_unit: PerChannel = 255.0
    batch_size: int = 256

    def __post_init__(self) -> None:
        if not isinstance(self.head, SoftmaxHead | SigmoidHead):
            raise HeadError(
                f"randomised smoothing of {self.head}: expected one decision per image, a SoftmaxHead or a SigmoidHead"
            )
        if not 0.0 < self.sigma < float("inf"):
            raise ValueError(f"sigma expected a number above 0; got {self.sigma}")

    def predict(self, image: Image, num: int, alpha: float, generator: torch.Generator) -> int | None:
        """The smoothed class, or None: wrong about the likeliest class with probability at most alpha (PREDICT).

        Args:
            image: one image or volume.
            num: noisy images.
            alpha: allowed error.
            generator: of the noise.

        Raises:
            HeadError: the model's output is not finite.
            ValueError: num is below 1, or alpha not between 0 and 1.
        """
        _require_share(alpha)
        counts, classes = self.counts(image, num, generator).topk(2)
        wins, losses = counts.tolist()
        sure = binomtest(wins, wins + losses).pvalue <= alpha
        return int(classes[0]) if sure else None

    def certify(self, image: Image, num_select: int, num: int, alpha: float, generator: torch.Generator) -> Certificate:
        """The smoothed class with its radius, or no class (CERTIFY).

        Args:
            image: one image or volume.
            num_select: n_0, noisy images by which the class is chosen.
            num: n, further noisy images by which its probability is bounded.
            alpha: the certificate is wrong with at most this probability.
            generator: of the noise.

        Raises:
            HeadError: the model's output is not finite.
            ValueError: num_select or num is below 1, or alpha not between 0 and 1.
        """
        _require_share(alpha)
        chosen = int(self.counts(image, num_select, generator).argmax())
        bound = lower_bound(int(self.counts(image, num, generator)[chosen]), num, alpha)
        if bound <= 0.5:
            return Certificate(None, 0.0, bound)
        return Certificate(chosen, self.sigma * NormalDist().inv_cdf(bound), bound)

    def counts(self, image: Image, num: int, generator: torch.Generator) -> Int[Tensor, " choice"]:
        """How often the model gives each class, of ``num`` noisy images.

        Raises:
            HeadError: the model's output is not finite.
            ValueError: num is below 1.
        """
        if num < 1:
            raise ValueError(f"number of noisy images expected 1 or more; got {num}")
        device = device_of(self.model)
        scale = self.sigma / per_channel(self.per_unit, image[None])
        found: list[Tensor] = []
        with evaluating(self.model), torch.random.fork_rng(devices=[]):
            for first in range(0, num, self.batch_size):
                size = min(self.batch_size, num - first)
                noise = torch.stack([torch.randn(image.shape, generator=generator) for _ in range(size)])
                scores = self.head.scores(self.model((image + scale * noise.to(image)).to(device)))
                if not bool(scores.isfinite().all()):
                    raise HeadError("randomised smoothing: expected finite output; got NaN or infinite values")
                found.append(decisions(scores)[:, 0].cpu())
        return torch.bincount(torch.cat(found), minlength=scores.shape[1])


def _require_share(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha expected above 0 and below 1; got {alpha}")

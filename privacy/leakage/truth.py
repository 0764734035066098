"""What a site really trained on in a recorded round: drawn again from the scenario's seed, for the auditor's eyes only.

Nothing in here is given to an attack. It is what an attack's images are compared with.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from medfed.config import Scenario
from medfed.data.transforms.contract import Transform
from medfed.rng import numpy_generator
from medfed.training.local import batches, training_batches
from medfed.types import ImageSet, SiteData
from privacy.leakage.recorded import LeakageError, Recorded
from privacy.mechanisms.contract import TrainingMechanism

Images = Float[Tensor, "image channel height width"]


@dataclass(frozen=True, eq=False)
class Truth:
    """The images of a site's first pass, in the order in which it took them.

    Attributes:
        images: as they entered the network: transformed at random, as ``training.transforms`` says; float32.
        labels: classes (image,) or masks (image, height, width).
        positions: of each image within the site's training images.
        rows: of each image in the data set.
        patients: of each image.
    """

    images: Images
    labels: Int[Tensor, "image ..."]
    positions: NDArray[np.int64]
    rows: NDArray[np.int64]
    patients: tuple[str, ...]

    def __len__(self) -> int:
        """Images that took part."""
        return len(self.positions)


def truth_of(scenario: Scenario, recorded: Recorded, data: SiteData) -> Truth:
    """Draw the batches of the round anew.

    Training that is private per image draws its batches in secret: there every image of the site counts as one that
    took part, as it lies on file.

    Raises:
        LeakageError: the site's data are not those that it trained on.
    """
    held = data.train
    if len(held) != recorded.num_examples:
        raise LeakageError(
            f"site {recorded.site}: trained on {recorded.num_examples} images, and the data now give it {len(held)}; "
            "restore the data of the run"
        )
    batch_size = scenario.training.batch_size
    per_pass = -(-len(held) // batch_size)
    steps = min(recorded.num_steps, per_pass)
    if drawn_in_secret(scenario):
        positions = np.arange(len(held))
        inputs, targets = held.batch(positions)
    else:
        order = numpy_generator(scenario.seed, recorded.site, recorded.round, "batches")
        positions = np.concatenate(list(batches(len(held), batch_size, steps, order)))
        taken = zip(*training_batches(held, scenario, recorded.site, recorded.round, steps), strict=True)
        inputs, targets = (torch.cat(parts) for parts in taken)
    return Truth(
        inputs,
        targets,
        positions,
        held.rows[positions],
        tuple(held.patients[position] for position in positions),
    )


def drawn_in_secret(scenario: Scenario) -> bool:
    """Whether nobody but the site knows which images took part in a step."""
    return isinstance(scenario.privacy.mechanism, TrainingMechanism)


def transforms_of(scenario: Scenario) -> tuple[Transform, ...]:
    """The random changes that the images of :func:`truth_of` went through."""
    return () if drawn_in_secret(scenario) else scenario.training.transforms


@dataclass(frozen=True, eq=False)
class Decoys:
    """Images of the same site that took no part, and of whom; ``from_test`` of them are test images."""

    images: Images
    patients: tuple[str, ...]
    from_test: int = 0

    def draw(self, number: int, generator: np.random.Generator) -> Images:
        """At most ``number`` of them, without a repeat."""
        order = generator.permutation(len(self.images))[:number]
        return self.images[torch.from_numpy(np.sort(order))]


def decoys_of(
    data: SiteData,
    truth: Truth,
    transforms: tuple[Transform, ...],
    limit: int,
    generator: np.random.Generator,
    enough: int = 0,
) -> Decoys:
    """At most ``limit`` images of the site, one of a patient, of patients of whom nothing was trained on.

    They are of the site's training and validation images. Test images are often of another draw, and would be told
    apart by that: they only fill up to ``enough``. None is, pixel by pixel, an image that took part (the same film
    under two names): nobody could tell the two apart, and no attack would ever name the right one. They are transformed
    at random as the true images were: without a leak nothing tells them apart.
    """
    took_part = {data.train.images[row].tobytes() for row in truth.rows}
    spared = np.setdiff1d(np.arange(len(data.train)), truth.positions)
    seen = set(truth.patients)
    chosen: list[tuple[ImageSet, int]] = []
    for most, pools in (
        (limit, [(data.train, spared), (data.val, np.arange(len(data.val)))]),
        (min(limit, enough), [(data.test, np.arange(len(data.test)))]),
    ):
        candidates = [(part, int(position)) for part, positions in pools for position in positions]
        for index in generator.permutation(len(candidates)):
            part, position = candidates[index]
            fresh = part.patients[position] not in seen
            if len(chosen) < most and fresh and part.images[part.rows[position]].tobytes() not in took_part:
                seen.add(part.patients[position])
                chosen.append((part, position))
    noise = torch.Generator().manual_seed(int(generator.integers(2**63)))
    images = []
    for part, position in chosen:
        image, target = part.batch(np.array([position]))
        for transform in transforms:
            image, target = transform(image, target, noise)
        images.append(image)
    empty = torch.zeros(0, *truth.images.shape[1:])
    patients = tuple(part.patients[position] for part, position in chosen)
    return Decoys(torch.cat([empty, *images]), patients, sum(part is data.test for part, _ in chosen))

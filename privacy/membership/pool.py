"""The images whose membership is attacked: those that a site trained on, and those that it kept for validation.

Both are of the same hospital and the same draw: an attack cannot tell them by anything but the model. (Test images are
often of another draw; naming them is no inference of membership.) At most one image of a patient, so that the images
are independent.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.data.dataset import image_set
from medfed.types import ImageSet


@dataclass(frozen=True, eq=False)
class Pool:
    """Images that are attacked.

    Attributes:
        images: all of them.
        sites: who holds each.
        members: which the model was trained on.
    """

    images: ImageSet
    sites: tuple[str, ...]
    members: Bool[ndarray, " image"]

    def of(self, site: str) -> Bool[ndarray, " image"]:
        """Which are of ``site``."""
        return np.array([owner == site for owner in self.sites])


def attacked_images(context: AuditContext, limit: int) -> Pool:
    """At most ``limit`` members and as many others of every site that trains, one of a patient.

    Raises:
        NotTestedError: there are no images that nobody trained on.
    """
    rows: list[int] = []
    sites: list[str] = []
    members: list[bool] = []
    for site in context.scenario.training_sites:
        data = context.site(site)
        for inside, found in ((True, data.train), (False, data.val)):
            chosen = _one_of_a_patient(found, context.numpy_generator("membership", site, int(inside)))[:limit]
            rows += chosen
            sites += [site] * len(chosen)
            members += [inside] * len(chosen)
    if all(members) or not any(members):
        raise NotTestedError("needs images that were trained on, and validation images that were not")
    dataset = context.dataset
    images = image_set(dataset.images, dataset.targets, dataset.records, np.array(rows, dtype=np.int64))
    return Pool(images, tuple(sites), np.array(members))


def subset(images: ImageSet, chosen: Bool[ndarray, " image"]) -> ImageSet:
    """Those that are ``chosen``, in order."""
    positions = np.flatnonzero(chosen)

    def kept(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(values[i] for i in positions)

    return replace(
        images,
        rows=images.rows[positions],
        patients=kept(images.patients),
        names=kept(images.names),
        subgroups={name: kept(values) for name, values in images.subgroups.items()},
    )


def _one_of_a_patient(images: ImageSet, generator: np.random.Generator) -> list[int]:
    order = generator.permutation(len(images))
    first = {images.patients[i]: int(i) for i in order[::-1]}
    return [int(images.rows[i]) for i in order if first[images.patients[i]] == i]

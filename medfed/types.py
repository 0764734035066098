"""The values that flow between the parts: a task, a site's images, a site's update."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

Weights = dict[str, Tensor]
"""Name -> tensor: a state dict, or a difference of two."""

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Task:
    """What the model must say about an image.

    ``classes`` are the class names in label order; in segmentation the first is the background. ``head``:
    ``softmax`` gives one logit per class, ``sigmoid`` a single logit for the second of two classes.
    """

    kind: Literal["classification", "segmentation"]
    classes: tuple[str, ...]
    head: Literal["softmax", "sigmoid"]
    channels: int
    image_size: int

    @property
    def num_classes(self) -> int:
        """Number of classes, background included."""
        return len(self.classes)

    @property
    def num_outputs(self) -> int:
        """Number of logits per image or pixel."""
        return 1 if self.head == "sigmoid" else self.num_classes


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Some rows of a decoded data set: the images of one split at one site.

    Attributes:
        images: all images of the data set, (rows, channel, height, width), uint8 or uint16, often memory-mapped.
        targets: all targets: (rows,) class indices, or (rows, height, width) class maps, uint8 or int64.
        rows: which rows belong to this set, in manifest order.
        patients: patient, lesion or group id per row of the set; the image name where unknown.
        names: what a person calls each image (its path in the manifest, or ``train_images[17]``).
        subgroups: further manifest columns, each one value per row of the set.
    """

    images: NDArray[Any]
    targets: NDArray[Any]
    rows: NDArray[np.int64]
    patients: tuple[str, ...]
    names: tuple[str, ...]
    subgroups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of images in the set."""
        return len(self.rows)

    def batch(
        self, positions: NDArray[np.int64]
    ) -> tuple[Float[Tensor, "batch channel height width"], Int[Tensor, "batch ..."]]:
        """Images in [0, 1] as float32 and targets as int64, for ``positions`` in 0..len-1."""
        rows = self.rows[positions]
        scale = 1.0 / np.iinfo(self.images.dtype).max
        images = torch.from_numpy(self.images[rows].astype(np.float32) * np.float32(scale))
        return images, torch.from_numpy(self.targets[rows].astype(np.int64))

    def class_counts(self, num_classes: int) -> list[int]:
        """Images per class; in segmentation, images that show at least one pixel of the class."""
        if self.targets.ndim == 1:
            return [int(count) for count in np.bincount(self.targets[self.rows], minlength=num_classes)]
        counts = np.zeros(num_classes, dtype=np.int64)
        for row in self.rows:
            counts[np.unique(self.targets[row])] += 1
        return [int(count) for count in counts]


@dataclass(frozen=True, eq=False)
class SiteData:
    """Everything that one site holds; ``split_here``: the data name no split, so that one was made of all of them."""

    site: str
    train: ImageSet
    val: ImageSet
    test: ImageSet
    split_here: bool = False

    def split(self, name: Split) -> ImageSet:
        """The images of one split."""
        sets: dict[Split, ImageSet] = {"train": self.train, "val": self.val, "test": self.test}
        return sets[name]


@dataclass(frozen=True, eq=False)
class Update:
    """What one site's training changed in one round.

    ``tensors`` are local minus global values, one for each shared entry of the model's state dict, buffers included.
    ``extras`` are further named tensors that the strategy's two sides exchange, by the names in
    :mod:`medfed.exchanged`.
    """

    site: str
    tensors: Weights
    num_examples: int
    num_steps: int
    metrics: Mapping[str, float]
    extras: Mapping[str, Weights] = field(default_factory=dict)

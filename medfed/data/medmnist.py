"""MedMNIST files (J. Yang et al., Scientific Data 10:41, 2023): one .npz with images and labels per split.

Keys ``{train,val,test}_{images,labels}``; images (n, height, width) or (n, height, width, 3), uint8; labels
(n, 1) or (n,) integers. The official splits are kept; there is one site.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medfed.data.faults import MISSING, ImageFault
from medfed.data.table import SINGLE_SITE, Record, Table
from medfed.errors import DataError
from medfed.sections import Columns
from medfed.types import SPLITS, Split


@dataclass(frozen=True, eq=False)
class ArrayStore:
    """Images held in memory, by the name ``train_images[17]``."""

    arrays: dict[str, NDArray[Any]]

    def content(self, reference: str) -> bytes:
        """Shape, type and pixels."""
        array = self._array(reference)
        return f"{array.dtype}{array.shape}".encode() + array.tobytes()

    def image(self, reference: str) -> NDArray[Any]:
        """The image, (channel, height, width)."""
        array = self._array(reference)
        return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)

    def mask(self, reference: str) -> NDArray[np.integer[Any]]:
        """There are no masks in a MedMNIST file."""
        raise ImageFault(MISSING, f"{reference}: a MedMNIST file holds no masks")

    def _array(self, reference: str) -> NDArray[Any]:
        key, _, index = reference.removesuffix("]").partition("[")
        found: NDArray[Any] = self.arrays[key][int(index)]
        return found


def read_medmnist(path: Path, columns: Columns) -> Table:
    """Read a MedMNIST file; ``columns`` has no meaning here.

    Raises:
        DataError: not an .npz file, a key is missing, or images and labels do not fit each other.
    """
    arrays = _load(path)
    records: list[Record] = []
    for split in SPLITS:
        labels = _labels(path, arrays, split)
        for index, label in enumerate(labels):
            name = f"{split}_images[{index}]"
            records.append(Record(name, None, str(label), SINGLE_SITE, split, None, len(records)))
    if not records:
        raise DataError(f"{path}: holds no images; expected train_images, val_images, test_images")
    return Table(path, tuple(records), ArrayStore(arrays), tuple(sorted(arrays)))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: cannot be read as an .npz file: it is no zip archive; download it again")
    wanted = [f"{split}_{part}" for split in SPLITS for part in ("images", "labels")]
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in wanted if key not in file]
            if missing:
                found = ", ".join(sorted(file)) or "nothing"
                raise DataError(f'{path}: no array "{missing[0]}"; found: {found}; expected: {", ".join(wanted)}')
            return {key: file[key] for key in wanted}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zipfile.error) as error:
        raise DataError(f"{path}: cannot be read as an .npz file: {error}; download it again") from error


def _labels(path: Path, arrays: dict[str, NDArray[Any]], split: Split) -> list[int]:
    images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    if images.dtype not in (np.uint8, np.uint16) or not (images.ndim == 3 or images.shape[3:] in ((1,), (3,))):
        raise DataError(
            f"{path}: {split}_images is {images.dtype} of shape {images.shape}; expected uint8 or uint16, "
            "(n, height, width) or (n, height, width, 3)"
        )
    if labels.dtype.kind not in "iu" or labels.shape not in ((len(images),), (len(images), 1)):
        raise DataError(
            f"{path}: {split}_labels is {labels.dtype} of shape {labels.shape}; expected one integer per image, "
            f"({len(images)}, 1)"
        )
    return [int(label) for label in labels.ravel()]

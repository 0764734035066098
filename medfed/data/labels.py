"""Label strings of a manifest -> class indices of the task."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def unknown_labels(labels: Sequence[str | None], classes: Sequence[str]) -> tuple[str, ...]:
    """Labels that are neither a class name nor, where all are integers, a class index; sorted.

    One way of reading holds for the whole data set: names if that explains more of it, else indices.
    """
    found = sorted({label for label in labels if label is not None})
    by_name = [label for label in found if label not in classes]
    if not by_name:
        return ()
    by_index = [label for label in found if not _is_index(label, len(classes))]
    return tuple(by_index if len(by_index) < len(by_name) else by_name)


def class_indices(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Class index of every label; all must be known (see :func:`unknown_labels`).

    Args:
        labels: one string per image.
        classes: class names in label order.

    Returns:
        (len(labels),) indices.

    Raises:
        ValueError: a label is unknown.
    """
    unknown = unknown_labels(labels, classes)
    if unknown:
        raise ValueError(f"unknown labels {unknown}")
    if all(label in classes for label in labels):
        index = {name: position for position, name in enumerate(classes)}
        return np.array([index[label] for label in labels], dtype=np.int64)
    return np.array([int(label) for label in labels], dtype=np.int64)


def _is_index(label: str, num_classes: int) -> bool:
    return label.isascii() and label.isdigit() and int(label) < num_classes

"""Who did it: detectors of malicious sites, from the updates of recorded rounds. One file per rule, one line here."""

from collections.abc import Callable, Mapping

from robustness.detection.contract import Detector
from robustness.detection.cosine import Cosine
from robustness.detection.distance import Distance
from robustness.detection.validation import ServerValidation

DETECTORS: Mapping[str, Callable[..., Detector]] = {
    "distance": Distance,
    "cosine": Cosine,
    "validation": ServerValidation,
}

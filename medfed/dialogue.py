"""What server and sites say to each other, as values; :mod:`medfed.messages` puts them into Flower's messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from medfed.config import Scenario
from medfed.types import Split, Update, Weights


@dataclass(frozen=True, eq=False)
class Request:
    """What the server asks of a site: train or evaluate these weights in this round of this run.

    ``weights`` are the shared entries of the model; they and ``extras`` are not to be changed in place. ``run`` tells
    runs of one scenario apart.
    """

    scenario: Scenario
    run: str
    round: int
    weights: Weights
    split: Split = "train"
    intervals: bool = False
    extras: Mapping[str, Weights] = field(default_factory=dict)


@dataclass(frozen=True)
class SiteInfo:
    """How a site introduces itself: its name and how many images it holds, never the images.

    ``num_patients`` of the training images; 0 where the scenario does not need it. ``split_here``: the site's data name
    no split into training, validation and test images, so that one was made.
    """

    site: str
    num_train: int
    num_val: int
    num_test: int
    class_counts: tuple[int, ...]
    num_patients: int = 0
    split_here: bool = False


@dataclass(frozen=True, eq=False)
class Delivery:
    """A site's update as it came, the seconds that the site says it took, its bytes, and if it was stacked.

    ``stacked``: it was trained at once with other sites (``engine.vectorise``).
    """

    update: Update
    seconds: float
    num_bytes: int
    stacked: bool = False

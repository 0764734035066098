"""Training losses: one file each, and the table of them."""

from medfed.training.losses.bce import BinaryCrossEntropy
from medfed.training.losses.cross_entropy import CrossEntropy
from medfed.training.losses.dice import Dice
from medfed.training.losses.dice_ce import DiceCrossEntropy

LOSSES = {
    "bce": BinaryCrossEntropy,
    "cross_entropy": CrossEntropy,
    "dice": Dice,
    "dice_ce": DiceCrossEntropy,
}

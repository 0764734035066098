"""Defences: adversarial training, filters before the model, randomised smoothing. One file each, one line here."""

from robustness.defences.bit_depth import BitDepth
from robustness.defences.fast import Fast
from robustness.defences.filter_contract import InputFilter
from robustness.defences.gaussian_filter import GaussianFilter
from robustness.defences.median_filter import MedianFilter
from robustness.defences.none import Plain
from robustness.defences.pgd import PGDTraining
from robustness.defences.trades import TRADES

ADVERSARIAL_TRAINING = {
    "none": Plain,
    "pgd": PGDTraining,
    "trades": TRADES,
    "fast": Fast,
}

INPUT_FILTERS: dict[str, type[InputFilter]] = {
    "gaussian": GaussianFilter,
    "median": MedianFilter,
    "bit_depth": BitDepth,
}

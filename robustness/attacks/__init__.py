"""Adversarial attacks on images: one enforcer that keeps the rules, and one small file per attack."""

from robustness.attacks.apgd import APGD
from robustness.attacks.cw import CW
from robustness.attacks.deepfool import DeepFool
from robustness.attacks.elastic import Elastic
from robustness.attacks.ensemble import Ensemble
from robustness.attacks.fab import FAB
from robustness.attacks.fgsm import FGSM
from robustness.attacks.fooling import Fooling
from robustness.attacks.mifgsm import MIFGSM
from robustness.attacks.noise import Noise
from robustness.attacks.one_pixel import OnePixel
from robustness.attacks.patch import Patch
from robustness.attacks.pgd import PGD
from robustness.attacks.rotation import Rotation
from robustness.attacks.segmentation import CosPGD, SegmentationPGD, SegmentationWorst, SegPGD
from robustness.attacks.square import Square
from robustness.attacks.universal import Universal

ATTACKS = {
    "fgsm": FGSM,
    "pgd": PGD,
    "mifgsm": MIFGSM,
    "apgd": APGD,
    "fab": FAB,
    "square": Square,
    "cw": CW,
    "deepfool": DeepFool,
    "one_pixel": OnePixel,
    "universal": Universal,
    "patch": Patch,
    "rotation": Rotation,
    "elastic": Elastic,
    "fooling": Fooling,
    "seg_pgd": SegPGD,
    "cos_pgd": CosPGD,
    "segmentation_pgd": SegmentationPGD,
    "segmentation_worst": SegmentationWorst,
    "noise": Noise,
    "ensemble": Ensemble,
}

"""Training-time augmentation: one file each, and the table of them."""

from medfed.data.transforms.affine import Affine
from medfed.data.transforms.cutout import Cutout
from medfed.data.transforms.flip import Flip
from medfed.data.transforms.intensity import Intensity
from medfed.data.transforms.noise import Noise
from medfed.data.transforms.rotate90 import Rotate90

TRANSFORMS = {
    "affine": Affine,
    "cutout": Cutout,
    "flip": Flip,
    "intensity": Intensity,
    "noise": Noise,
    "rotate90": Rotate90,
}

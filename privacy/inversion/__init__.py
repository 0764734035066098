"""Gradient inversion: images from a change of weights. One engine keeps the rules; one small file per attack."""

from privacy.inversion.dlg import DLG
from privacy.inversion.first_layer import FirstLayer
from privacy.inversion.grad_inversion import GradInversion
from privacy.inversion.inverting_gradients import InvertingGradients
from privacy.inversion.recursive import Recursive
from privacy.inversion.row_space import RowSpace

INVERSIONS = {
    "first_layer": FirstLayer,
    "recursive": Recursive,
    "row_space": RowSpace,
    "dlg": DLG,
    "inverting_gradients": InvertingGradients,
    "grad_inversion": GradInversion,
}

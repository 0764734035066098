"""Byzantine clients: what a malicious site does. One file per behaviour, one line here."""

from robustness.byzantine.alie import ALIE
from robustness.byzantine.backdoor import Backdoor
from robustness.byzantine.free_rider import FreeRider
from robustness.byzantine.gaussian import Gaussian
from robustness.byzantine.ipm import IPM
from robustness.byzantine.label_flip import LabelFlip
from robustness.byzantine.lazy import Lazy
from robustness.byzantine.min_max import MinMax
from robustness.byzantine.not_finite import Inf, NaN
from robustness.byzantine.oversized_count import OversizedCount
from robustness.byzantine.scaled import Scaled
from robustness.byzantine.sign_flip import SignFlip

BYZANTINE = {
    "sign_flip": SignFlip,
    "scaled": Scaled,
    "gaussian": Gaussian,
    "alie": ALIE,
    "ipm": IPM,
    "min_max": MinMax,
    "label_flip": LabelFlip,
    "backdoor": Backdoor,
    "free_rider": FreeRider,
    "lazy": Lazy,
    "nan": NaN,
    "inf": Inf,
    "oversized_count": OversizedCount,
}

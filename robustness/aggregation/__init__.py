"""Aggregators: how the updates of a round become one. One file per rule, one line here."""

from robustness.aggregation.bucketing import Bucketing
from robustness.aggregation.bulyan import Bulyan
from robustness.aggregation.centred_clipping import CentredClipping
from robustness.aggregation.foolsgold import FoolsGold
from robustness.aggregation.geometric_median import GeometricMedian
from robustness.aggregation.krum import Krum
from robustness.aggregation.mean import Mean
from robustness.aggregation.median import CoordinateMedian
from robustness.aggregation.multi_krum import MultiKrum
from robustness.aggregation.norm_clipped_mean import NormClippedMean
from robustness.aggregation.trimmed_mean import TrimmedMean

AGGREGATORS = {
    "mean": Mean,
    "norm_clipped_mean": NormClippedMean,
    "median": CoordinateMedian,
    "trimmed_mean": TrimmedMean,
    "geometric_median": GeometricMedian,
    "krum": Krum,
    "multi_krum": MultiKrum,
    "bulyan": Bulyan,
    "centred_clipping": CentredClipping,
    "foolsgold": FoolsGold,
    "bucketing": Bucketing,
}

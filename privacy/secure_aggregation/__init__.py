"""Secure aggregation: the server learns the sum of the sites' updates and no single one. One file per idea.

SecAgg+ (Bell et al., CCS 2020, Algorithm 2), which is the protocol of Bonawitz et al. (CCS 2017) with a sparse graph of
masks. Below the wire all is a pure function of values: :mod:`privacy.secure_aggregation.site` is what a site does,
:mod:`privacy.secure_aggregation.server` what the server does.
"""

from privacy.secure_aggregation.settings import SecAggPlus, Unmasked

SECURE_AGGREGATIONS = {"none": Unmasked, "secagg_plus": SecAggPlus}

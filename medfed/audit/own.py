"""The audit's own sections: which model and which data these are, and how well the model does without an attack."""

from medfed.audit.contract import AuditContext
from medfed.audit.costs import Cost, num_tests, pass_seconds
from medfed.audit.identity import Identity
from medfed.audit.performance import Performance

SECTIONS = {
    "identity": Identity,
    "performance": Performance,
}

_RESAMPLE = 5e-7
"""Seconds of an image in one resample of all metrics."""


def _identity_cost(section: Identity, context: AuditContext) -> float:
    """Every test image is read once."""
    return 1e-4 * num_tests(context)


def _performance_cost(section: Performance, context: AuditContext) -> float:
    """Test images and images of the training, once each, and the resamples of both."""
    trained = context.scenario.training_sites if context.trained_here else ()
    images = num_tests(context) + sum(min(section.training_images, len(context.site(site).train)) for site in trained)
    return images * (pass_seconds(context) + _RESAMPLE * context.scenario.evaluation.resamples)


COSTS = {
    "identity": Cost(_identity_cost),
    "performance": Cost(_performance_cost, cheaper=({"training_images": 100},)),
}

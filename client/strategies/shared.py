"""Which parameters of a job's model travel: those that a rule at the server steps along."""

from client.strategies.contract import Job
from medfed.models.entries import parameter_names
from medfed.models.initial import personal_entries


def shared_parameters(job: Job) -> list[str]:
    """Names of trained parameters that are not this site's own, in the order of the weights."""
    names = parameter_names(job.model) - personal_entries(job.scenario, job.model)
    return [name for name in job.weights if name in names]

"""What malicious sites did to a run: the step of a round, the model's figures, and the marks that it obeys."""

import math
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from medfed.audit.contract import AuditContext, NotTestedError, TestImages
from medfed.audit.results import share
from medfed.config import Scenario
from medfed.results import Estimate, Status, Summary
from medfed.training.evaluation import predict_batch
from medfed.types import Update
from robustness.aggregation.contract import RobustAggregator
from robustness.aggregation.mixed_rows import MatrixRows
from robustness.byzantine.backdoor import Backdoor
from robustness.byzantine.trigger import mask
from robustness.detection.contract import Round

Vector = Float[Tensor, " value"]

_Z = NormalDist().inv_cdf(0.975)


def backdoor_of(scenario: Scenario) -> Backdoor | None:
    """The backdoor that the malicious sites played, if they did."""
    behaviour = scenario.adversary.behaviour
    inner = getattr(behaviour, "inner", behaviour)
    return inner if isinstance(inner, Backdoor) else None


def marked(context: AuditContext, tests: TestImages, backdoor: Backdoor) -> Estimate:
    """The share of images, neither of the target class nor taken for it, that the mark turns into it."""
    images = tests.images.clone()
    images[..., torch.from_numpy(mask(backdoor.trigger, backdoor.size, *images.shape[-2:]))] = 1.0
    before, after = (predict_batch(context.model, x, context.task).argmax(dim=1) for x in (tests.images, images))
    others = (tests.labels != backdoor.target) & (before != backdoor.target)
    return share(int((others & (after == backdoor.target)).sum()), int(others.sum()))


def points_lost(context: AuditContext) -> Estimate:
    """The headline metric, mean over sites, of the same federation without malicious sites, minus that of this run.

    Both are scored on the same test images; the interval takes their errors as independent, which makes it too wide.

    Raises:
        NotTestedError: the audit cannot train, or one of the two runs was stopped or has no figure.
    """
    scenario, metric = context.scenario, context.scenario.headline
    _require_whole(context.run.summary, scenario)
    changes = {"adversary.sites": 0, "baselines.local": False, "baselines.pooled": False, "record.rounds": ()}
    context.progress("training the federation without malicious sites", 0.0)
    twin = context.run_scenario(scenario.replace(name=f"{scenario.name[:56]}-honest", **changes)).summary
    _require_whole(twin, scenario)
    before, after = ((run.mean.federated or {}).get(metric) for run in (twin, context.run.summary))
    if before is None or after is None or before.value is None or after.value is None:
        raise NotTestedError("one of the two runs has no figure")
    lost, n = before.value - after.value, min(before.n, after.n)
    if before.se is None or after.se is None:
        return Estimate(value=lost, low=None, high=None, n=n)
    reach = _Z * math.hypot(before.se, after.se)
    return Estimate(value=lost, low=lost - reach, high=lost + reach, n=n)


def _require_whole(run: Summary, scenario: Scenario) -> None:
    """Refuse a run that somebody or something stopped: what it lacks is not what malicious sites took."""
    if run.status is Status.STOPPED:
        raise NotTestedError(f"a run was stopped after {run.rounds} of {scenario.training.rounds} rounds")


def steps_kept(context: AuditContext, of_round: Round) -> tuple[tuple[float, float], tuple[float, float]]:
    """Along and across the honest sites' mean step: the plain mean of all sites, and the rule of the run.

    The strategy's weights count where the run used them. A rule that remembers starts without memory here.
    """
    weights = _weights(context, of_round)
    malicious = set(context.scenario.malicious_sites)
    honest = torch.tensor([site not in malicious for site in of_round.sites])
    mean = _mean(of_round.updates[honest], weights[honest])
    rule = context.scenario.federation.aggregator
    if isinstance(rule, RobustAggregator):
        rows = MatrixRows(of_round.sites, of_round.updates)
        used, _ = rule(rows, weights, {}, context.numpy_generator("poisoning", "rule", of_round.number))
    else:
        factors = [_clipped(context, update, rule.factor({"update": update})) for update in of_round.updates]
        used = _mean(of_round.updates * torch.tensor(factors)[:, None], weights)
    return _parts(_mean(of_round.updates, weights), mean), _parts(used, mean)


def _clipped(context: AuditContext, update: Vector, factor: float) -> float:
    """The rule's ``factor``, and what a server that noises updates shortens one by after it.

    An adaptive bound is taken as it was in round 1.
    """
    mechanism = context.scenario.privacy.mechanism
    bound = mechanism.bound({}) if hasattr(mechanism, "bound") else math.inf
    length = factor * float(update.norm())
    return factor if length <= bound else factor * float(bound) / length


def _parts(step: Vector, honest: Vector) -> tuple[float, float]:
    """``step`` along and across ``honest``, in lengths of it; zero where that has none."""
    step, honest = step.double(), honest.double()
    length = float(honest.norm())
    if length == 0.0:
        return 0.0, 0.0
    along = float(step @ honest) / length**2
    return round(along, 3), round(float((step - along * honest).norm()) / length, 3)


def _mean(updates: Float[Tensor, "site value"], weights: Float[Tensor, " site"]) -> Vector:
    return weights.to(updates.dtype) @ updates / weights.sum().to(updates.dtype)


def _weights(context: AuditContext, of_round: Round) -> Float[Tensor, " site"]:
    """What the strategy makes of the counts that the sites claimed; 1 each where the round's line is lost."""
    lines = {line.round: line.sites for line in context.run.rounds}.get(of_round.number, {})
    strategy = context.scenario.federation.strategy
    known = [lines.get(site) for site in of_round.sites]
    if any(found is None for found in known):
        return torch.ones(len(known))
    counts = [(found.num_examples, found.num_steps) for found in known if found is not None]
    updates = (Update(site, {}, *count, {}) for site, count in zip(of_round.sites, counts, strict=True))
    return torch.tensor([strategy.weight(update) for update in updates])

"""What a comparison of runs found: ``comparison.json`` is a :class:`Comparison`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from medfed.report.comparison import Difference
from medfed.results import Estimate, Status


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MetricDifference(_Value):
    """This run minus the reference in one metric: over sites, each counting once, and at each test set.

    ``outcome``: better or worse where the interval of ``mean`` leaves out 0; without an interval of the difference,
    where the two intervals do not overlap.
    """

    mean: Estimate
    outcome: Difference
    sites: dict[str, Estimate] = Field(default_factory=dict)


class FindingChange(_Value):
    """A finding that the audits of both runs have; ``outcome`` says which way, where their intervals do not overlap.

    ``note``: why they are not compared; empty where they are. ``census``: counts of all there are, without intervals.
    """

    section: str
    what: str
    reference: Estimate
    ours: Estimate
    outcome: Difference
    census: bool = False
    note: str = ""


class ComparedRun(_Value):
    """One run beside the reference, which is the first.

    Attributes:
        name: of the run; folders of one name are numbered.
        settings: keys of the scenario in which the runs differ -> value here, as in TOML.
        mean: metric -> mean over sites of the federated model, from the run's summary.
        differences: metric -> difference to the reference; empty for the reference.
        paired: the differences are of the same test images.
        note: why they are not paired; empty where they are.
        epsilon: of the guarantee that the privacy statement leads with; None where there is none.
        epsilon_for: whose presence it hides, in which relation, at which delta; empty without one.
        audit_verdict: of the last audit, a FAIL first where there is one; None where there is none.
        audit_stale: in what that audit is not of the run as it is now; empty where it is, so far as is known.
        audit: section -> verdict of the last audit; empty where there is none.
        unlike: section -> why it must not be compared with that of the reference's audit.
        changes: of the audit's findings.
    """

    name: str
    status: Status
    settings: dict[str, str]
    mean: dict[str, Estimate]
    differences: dict[str, MetricDifference] = Field(default_factory=dict)
    paired: bool = False
    note: str = ""
    rounds: int
    seconds: float
    bytes_up: int
    epsilon: float | None = None
    epsilon_for: str = ""
    audit_verdict: str | None = None
    audit_stale: str = ""
    audit: dict[str, str] = Field(default_factory=dict)
    unlike: dict[str, str] = Field(default_factory=dict)
    changes: tuple[FindingChange, ...] = ()


class Comparison(_Value):
    """``comparison.json``. The reference is the first of ``runs``."""

    schema_version: Literal[1] = 1
    task: Literal["classification", "segmentation"]
    headline_metric: str
    runs: tuple[ComparedRun, ...]

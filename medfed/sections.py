"""The tables of a scenario: every key, what it means, its default and what it may be."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from medfed.section import Section, plugin_field


def _unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError(f"values must differ from each other, got {list(values)}")
    return values


def _whole(value: Any) -> Any:
    """Before a literal number: pydantic takes ``true`` for 1 there, as Python does."""
    if type(value) is not int:
        raise ValueError(f"must be a whole number; got {value!r}")
    return value


HEADLINES: dict[str, tuple[str, ...]] = {
    "classification": ("auroc", "balanced_accuracy", "accuracy"),
    "segmentation": ("dice", "iou"),
}
"""What a run may be judged by; the first is the default."""


class TaskConfig(Section):
    """``[task]``: what the model must say. In segmentation the first class is the background."""

    kind: Literal["classification", "segmentation"]
    classes: Annotated[tuple[str, ...], Field(min_length=2), AfterValidator(_unique)]
    head: Literal["softmax", "sigmoid"] = "softmax"

    @model_validator(mode="after")
    def _sigmoid_has_two_classes(self) -> "TaskConfig":
        if self.head == "sigmoid" and len(self.classes) != 2:
            raise ValueError(f'head "sigmoid" needs exactly two classes, got {len(self.classes)}; use "softmax"')
        return self


class Columns(Section):
    """``[data.columns]``: which manifest column plays which part. Further columns are kept as subgroups."""

    image: str = "image"
    mask: str = "mask"
    label: str = "label"
    site: str = "site"
    split: str = "split"
    patient: str = "patient"


class DataConfig(Section):
    """``[data]``: where the images lie and how they are read.

    ``path`` is a manifest (.csv) or a MedMNIST file (.npz); it never travels to a site. ``masks``: ``binary``
    (every value above 0 is the second class) or ``classes`` (pixel value = class index). ``intensity``:
    ``bit_depth`` divides by the largest value of the file's bit depth, ``percentiles`` maps each image's 0.5th
    and 99.5th percentile to 0 and 1. ``half``: train on that half (1, 2, ...) of each site's training and validation
    images only, and validate on the other (:mod:`medfed.data.halves`). ``seed``: of splits, partition and halves, where
    it is not the scenario's: other training on the same division of the images.
    """

    path: str = ""
    columns: Columns = Columns()
    image_size: int = Field(ge=8, le=2048)
    channels: Annotated[Literal[1, 3], BeforeValidator(_whole)] = 1
    masks: Literal["binary", "classes"] = "binary"
    intensity: Literal["bit_depth", "percentiles"] = "bit_depth"
    duplicates: Literal["refuse", "drop"] = "refuse"
    min_images_per_site: int = Field(default=20, ge=1)
    half: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    sites: Annotated[tuple[str, ...], AfterValidator(_unique)] = ()
    partition: plugin_field("partitioner") = "natural"  # type: ignore[valid-type]


class TrainingConfig(Section):
    """``[training]``: what a site does in a round. Exactly one of ``local_epochs`` and ``local_steps``.

    ``precision`` ``bfloat16`` computes the forward and backward passes of training in bfloat16 where the processor has
    it; weights, losses, the optimizer and every score stay float32. ``adversarial``: train on images that were changed
    to make the model err.
    """

    rounds: int = Field(ge=1)
    local_epochs: int | None = Field(default=None, ge=1)
    local_steps: int | None = Field(default=None, ge=1)
    batch_size: int = Field(ge=1)
    optimizer: plugin_field("optimizer") = "adamw"  # type: ignore[valid-type]
    schedule: Literal["constant", "cosine"] = "constant"
    precision: Literal["float32", "bfloat16"] = "float32"
    loss: plugin_field("loss")  # type: ignore[valid-type]
    transforms: tuple[plugin_field("transform"), ...] = ()  # type: ignore[valid-type]
    adversarial: plugin_field("adversarial_training") = "none"  # type: ignore[valid-type]
    trainer: plugin_field("trainer") = "standard"  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _one_measure_of_local_work(self) -> "TrainingConfig":
        if (self.local_epochs is None) == (self.local_steps is None):
            found = "neither" if self.local_epochs is None else "both"
            raise ValueError(f"give exactly one of local_epochs and local_steps; got {found}")
        return self


class FederationConfig(Section):
    """``[federation]``: who takes part and how updates become one model.

    ``aggregator`` makes one update of many, ``strategy`` makes the next model of it. ``secure_aggregation``: whether
    the server sees single updates. ``batch_norm`` must be said for a
    model with BatchNorm: ``average`` its weights and statistics as all others, keep them ``local`` to each site
    (Li et al., FedBN, ICLR 2021), or leave the statistics ``frozen``.

    ``sites`` are the expected site names (empty in a simulation: all sites of the data). ``quorum`` is the
    share of a round's sites that must deliver. ``sites_per_round`` 0 means all. Sites in ``leave_out`` do not
    train; the model is tested on them.
    """

    strategy: plugin_field("strategy") = "fedavg"  # type: ignore[valid-type]
    aggregator: plugin_field("aggregator") = "mean"  # type: ignore[valid-type]
    compression: plugin_field("compression") = "none"  # type: ignore[valid-type]
    secure_aggregation: plugin_field("secure_aggregation") = "none"  # type: ignore[valid-type]
    batch_norm: Literal["average", "local", "frozen"] | None = None
    sites: Annotated[tuple[str, ...], AfterValidator(_unique)] = ()
    leave_out: Annotated[tuple[str, ...], AfterValidator(_unique)] = ()
    sites_per_round: int = Field(default=0, ge=0)
    quorum: float = Field(default=0.5, gt=0.0, le=1.0)
    deadline_seconds: float = Field(default=3600.0, gt=0.0)
    join_seconds: float = Field(default=300.0, gt=0.0)


class EvaluationConfig(Section):
    """``[evaluation]``: ``every`` so many rounds on validation data; intervals from ``resamples`` bootstraps.

    ``patience`` ends the rounds after so many evaluations in a row without a better mean of the headline metric over
    the sites that both rounds have (0: never). ``keep`` says which round's weights become the model: the ``last``, the
    ``best`` by that mean, or an ``average`` over the rounds, in which each counts ``decay`` times what the next does.
    """

    headline: Literal["auroc", "balanced_accuracy", "accuracy", "dice", "iou"] | None = None
    every: int = Field(default=1, ge=1)
    patience: int = Field(default=0, ge=0)
    keep: Literal["last", "best", "average"] = "last"
    decay: float = Field(default=0.9, ge=0.0, lt=1.0)
    resamples: int = Field(default=1000, ge=100)
    batch_size: int = Field(default=64, ge=1)


class BaselinesConfig(Section):
    """``[baselines]``: the comparisons that say whether federating was worth it."""

    local: bool = True
    pooled: bool = True


class RecordConfig(Section):
    """``[record]``: rounds whose real updates are kept for audits; negative ones count from the end."""

    rounds: Annotated[tuple[int, ...], AfterValidator(_unique)] = ()


class TrackingConfig(Section):
    """``[tracking]``: where the figures of every round go beside the run's own files; nothing here changes a number."""

    trackers: Annotated[tuple[plugin_field("tracker"), ...], AfterValidator(_unique)] = ()  # type: ignore[valid-type]


class AdversaryConfig(Section):
    """``[adversary]``: sites that act against the others. A simulation plays it, a deployment refuses it.

    ``sites``: their names, or how many are drawn from the sites that train; 0: nobody. ``behaviour``: what they do.
    ``knowledge``: whose honest updates they see, where the behaviour needs them: the ``colluders``' own, or those of
    ``everyone`` who is honest.
    """

    sites: Annotated[int, Field(ge=0)] | Annotated[tuple[str, ...], AfterValidator(_unique)] = 0
    behaviour: plugin_field("byzantine") = "sign_flip"  # type: ignore[valid-type]
    knowledge: Literal["colluders", "everyone"] = "colluders"


class BudgetConfig(Section):
    """``[privacy.budget]``: the largest epsilon at ``privacy.delta`` per unit, over all that a site ever released."""

    record: float | None = Field(default=None, gt=0.0)
    patient: float | None = Field(default=None, gt=0.0)
    site: float | None = Field(default=None, gt=0.0)


class PrivacyConfig(Section):
    """``[privacy]``: differential privacy of images, patients or whole sites.

    ``mechanism``: who clips and noises what. ``delta``: at which epsilon is stated. ``accountant``: by which method.
    ``budget``: what a site may spend. ``ledger``: in a simulation, a folder outside the run for the sites' ledgers,
    which then span runs.
    """

    mechanism: plugin_field("mechanism") = "none"  # type: ignore[valid-type]
    delta: float = Field(default=1e-5, gt=0.0, lt=1.0)
    accountant: plugin_field("accountant") = "pld"  # type: ignore[valid-type]
    budget: BudgetConfig = BudgetConfig()
    ledger: str = ""

    @property
    def is_on(self) -> bool:
        """Whether anything is protected."""
        return bool(getattr(self.mechanism, "protects", True))


class EngineConfig(Section):
    """``[engine]``: how a simulation runs; only ``deterministic = false`` and ``vectorise`` change a number.

    ``workers`` 0 means one per core. ``window_mb`` bounds the bytes of updates in flight, in megabytes. ``spool`` keeps
    every accepted update on disk until its round is complete, so that a crash loses one site's work and not the
    round's; a deployment always does. ``vectorise``: so many sites are trained at once, as one stacked model; the last
    bits of numbers differ from those of 0 or 1, which mean one by one. A deployment ignores it.
    """

    deterministic: bool = True
    workers: int = Field(default=0, ge=0)
    window_mb: int = Field(default=512, ge=1)
    spool: bool = False
    vectorise: int = Field(default=0, ge=0)

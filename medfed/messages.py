"""The one codec between our values and Flower's messages.

Arrays travel as raw little-endian bytes (no ``np.save`` header, no pickle). The keys of a message and the
names of extra tensors that a client trainer and a server rule share are said here and nowhere else.
"""

import math
import sys
from dataclasses import dataclass

import numpy as np
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from torch import Tensor

from medfed.config import Scenario, parse_scenario
from medfed.errors import UpdateError
from medfed.results import Estimate, Evaluation
from medfed.types import Split, Update, Weights

STYPE = "medfed.raw"

WEIGHTS = "weights"
UPDATE = "update"
CONFIG = "config"
METRICS = "metrics"

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float16, torch.float32, torch.float64, torch.int32, torch.int64, torch.uint8, torch.bool)
}


@dataclass(frozen=True, eq=False)
class Request:
    """What the server asks of a site: train or evaluate these weights in this round."""

    scenario: Scenario
    round: int
    weights: Weights
    split: Split
    intervals: bool


@dataclass(frozen=True)
class SiteInfo:
    """How a site introduces itself: its name and how many images it holds, never the images."""

    site: str
    num_train: int
    num_val: int
    num_test: int
    class_counts: tuple[int, ...]


def pack_weights(weights: Weights) -> ArrayRecord:
    """Tensors -> arrays of raw bytes."""
    assert sys.byteorder == "little", "the wire format is little-endian"
    return ArrayRecord({name: _pack(value) for name, value in weights.items()})


def _pack(value: Tensor) -> Array:
    data = value.detach().cpu().contiguous().numpy()
    return Array(str(data.dtype), tuple(data.shape), STYPE, data.tobytes())


def unpack_weights(record: ArrayRecord) -> Weights:
    """Arrays of raw bytes -> tensors.

    Raises:
        UpdateError: an array has another serialization, an unknown dtype, or too few or too many bytes.
    """
    return {name: _unpack(name, array) for name, array in record.items()}


def _unpack(name: str, array: Array) -> Tensor:
    if array.stype != STYPE or array.dtype not in _DTYPES:
        raise UpdateError(
            f'tensor "{name}": expected {STYPE} in one of {", ".join(_DTYPES)}, got {array.stype} {array.dtype}'
        )
    dtype = np.dtype(array.dtype)
    expected = math.prod(array.shape) * dtype.itemsize
    if min(array.shape, default=0) < 0 or len(array.data) != expected:
        raise UpdateError(f'tensor "{name}" of shape {array.shape}: expected {expected} bytes, got {len(array.data)}')
    return torch.from_numpy(np.frombuffer(array.data, dtype).copy().reshape(array.shape))


def request(
    scenario_toml: str, round_number: int, weights: ArrayRecord, split: Split = "train", intervals: bool = False
) -> RecordDict:
    """Ask a site to train (``split="train"``) or to evaluate on ``split``; ``weights`` are packed once a round."""
    config = ConfigRecord({"scenario": scenario_toml, "round": round_number, "split": split, "intervals": intervals})
    return RecordDict({WEIGHTS: weights, CONFIG: config})


def introduction(scenario_toml: str) -> RecordDict:
    """Ask a site who it is."""
    return RecordDict({CONFIG: ConfigRecord({"scenario": scenario_toml})})


def read_scenario(content: RecordDict) -> Scenario:
    """The scenario that a message carries."""
    return parse_scenario(str(content.config_records[CONFIG]["scenario"]))


def read_request(content: RecordDict) -> Request:
    """The inverse of :func:`request`."""
    config = content.config_records[CONFIG]
    split: Split = config["split"]  # type: ignore[assignment]
    weights = unpack_weights(content.array_records[WEIGHTS])
    return Request(read_scenario(content), int(str(config["round"])), weights, split, bool(config["intervals"]))


def info_reply(info: SiteInfo) -> RecordDict:
    """A site's answer to :func:`introduction`."""
    counts = list(info.class_counts)
    config: dict[str, str | int | list[int]] = {
        "site": info.site,
        "train": info.num_train,
        "val": info.num_val,
        "test": info.num_test,
        "class-counts": counts,
    }
    return RecordDict({CONFIG: ConfigRecord(config)})  # type: ignore[arg-type]


def read_info(content: RecordDict) -> SiteInfo:
    """The inverse of :func:`info_reply`.

    Raises:
        UpdateError: the reply is malformed.
    """
    try:
        c = content.config_records[CONFIG]
        counts: list[int] = c["class-counts"]  # type: ignore[assignment]
        train, val, test = (int(str(c[key])) for key in ("train", "val", "test"))
        return SiteInfo(str(c["site"]), train, val, test, tuple(int(count) for count in counts))
    except (KeyError, TypeError, ValueError) as error:
        raise UpdateError(f"an introduction is malformed: {error!r}") from error


def update_reply(update: Update, seconds: float) -> RecordDict:
    """A site's update and what it says about it."""
    metrics: dict[str, int | float | list[int] | list[float]] = {
        "num-examples": update.num_examples,
        "num-steps": update.num_steps,
        "seconds": seconds,
    }
    metrics |= {f"metric.{name}": value for name, value in update.metrics.items()}
    return RecordDict({UPDATE: pack_weights(update.tensors), METRICS: MetricRecord(metrics)})


def read_update(site: str, content: RecordDict) -> tuple[Update, float]:
    """The inverse of :func:`update_reply`: the update, and the seconds the site says it took.

    Raises:
        UpdateError: the reply lacks a part, or a tensor is malformed.
    """
    if UPDATE not in content.array_records or METRICS not in content.metric_records:
        raise UpdateError(
            f"site {site}: the reply must hold {UPDATE} and {METRICS}, got {', '.join(content) or 'nothing'}"
        )
    numbers = {
        name: float(value) for name, value in content.metric_records[METRICS].items() if not isinstance(value, list)
    }
    missing = {"num-examples", "num-steps", "seconds"} - numbers.keys()
    if missing:
        raise UpdateError(f"site {site}: the reply lacks {', '.join(sorted(missing))}")
    metrics = {name.removeprefix("metric."): value for name, value in numbers.items() if name.startswith("metric.")}
    tensors = unpack_weights(content.array_records[UPDATE])
    examples, steps = numbers["num-examples"], numbers["num-steps"]
    if not all(map(math.isfinite, numbers.values())) or "loss" not in metrics:
        raise UpdateError(f"site {site}: counts must be finite, and a finite loss be among the metrics; got {numbers}")
    return Update(site, tensors, int(examples), int(steps), metrics), numbers["seconds"]


def evaluation_reply(evaluation: Evaluation) -> RecordDict:
    """Metrics as numbers: ``<class index or ''>/<metric>/<field>``; undefined values are left out."""
    numbers: dict[str, int | float | list[int] | list[float]] = {"num-images": evaluation.num_images}
    groups = {"": evaluation.metrics} | evaluation.per_class
    for group, metrics in groups.items():
        for name, estimate in metrics.items():
            for field, value in estimate.model_dump().items():
                if value is not None:
                    numbers[f"{field}/{name}/{group}"] = value
    return RecordDict({METRICS: MetricRecord(numbers)})


def read_evaluation(site: str, content: RecordDict) -> Evaluation:
    """The inverse of :func:`evaluation_reply`.

    Raises:
        UpdateError: the reply is malformed, or a number is not finite.
    """
    try:
        return _evaluation(content.metric_records[METRICS])
    except (KeyError, TypeError, ValueError) as error:
        raise UpdateError(f"site {site}: its metrics are malformed: {' '.join(str(error).split())[:200]}") from error


def _evaluation(record: MetricRecord) -> Evaluation:
    found: dict[str, dict[str, dict[str, int | float]]] = {"": {}}
    for key, value in record.items():
        if "/" in key and not isinstance(value, list):
            field, name, group = key.split("/", 2)
            found.setdefault(group, {}).setdefault(name, {})[field] = value
    groups = {g: {name: _estimate(fields) for name, fields in metrics.items()} for g, metrics in found.items()}
    overall = groups.pop("")
    return Evaluation(metrics=overall, per_class=groups, num_images=int(str(record["num-images"])))


def _estimate(fields: dict[str, int | float]) -> Estimate:
    return Estimate(
        value=fields.get("value"),
        low=fields.get("low"),
        high=fields.get("high"),
        n=int(fields["n"]),
        se=fields.get("se"),
    )

"""The one codec between our values and Flower's messages.

Tensors travel as one buffer in the safetensors format (no ``np.save``, no pickle), see :mod:`medfed.payload`. The keys
of a message are said here and nowhere else; :mod:`medfed.dialogue` has the values that they carry,
:mod:`medfed.exchanged` the names that the two sides of a strategy share.
"""

import math
import sys
from collections.abc import Mapping
from typing import TypeVar

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from medfed import metric_numbers, payload
from medfed.config import Scenario, parse_scenario
from medfed.dialogue import Delivery, Request, SiteInfo
from medfed.errors import UpdateError
from medfed.results import Evaluation
from medfed.types import Split, Update, Weights

__all__ = [
    "CONFIG",
    "METRICS",
    "STACKED",
    "STYPE",
    "UPDATE",
    "WEIGHTS",
    "Delivery",
    "Request",
    "SiteInfo",
    "evaluation_reply",
    "info_reply",
    "introduction",
    "mark_stacked",
    "num_bytes",
    "pack_weights",
    "read_evaluation",
    "read_info",
    "read_request",
    "read_scenario",
    "read_update",
    "request",
    "update_reply",
]

STYPE = "safetensors"

WEIGHTS = "weights"
UPDATE = "update"
CONFIG = "config"
METRICS = "metrics"
STACKED = "stacked"


def pack_weights(weights: Weights, extras: Mapping[str, Weights] | None = None) -> ArrayRecord:
    """Weights and named extra tensors -> one array of bytes each; pack once a round, send to many."""
    return _pack({WEIGHTS: weights, **(extras or {})})


def _pack(groups: Mapping[str, Weights]) -> ArrayRecord:
    assert sys.byteorder == "little", "the wire format is little-endian"
    record = ArrayRecord()
    for name, data in payload.pack_groups(groups).items():
        record[name] = _array(data)
    return record


def _array(data: memoryview) -> Array:
    array = Array("uint8", (len(data),), STYPE, b"")
    array.data = data  # type: ignore[assignment] # the constructor wants bytes, Flower itself takes any buffer
    return array


def num_bytes(record: ArrayRecord) -> int:
    """Bytes of all arrays, headers included."""
    return sum(len(array.data) for array in record.values())


def _unpack(record: ArrayRecord, group: str) -> Weights:
    """The tensors of one group.

    Raises:
        UpdateError: it has another serialization, or is malformed.
    """
    array = record[group]
    if array.stype != STYPE:
        raise UpdateError(f'tensors "{group}": expected {STYPE}, got {array.stype}')
    return payload.unpack(array.data)


def _unpack_extras(record: ArrayRecord, main: str) -> dict[str, Weights]:
    return {name: _unpack(record, name) for name in record if name != main}


def request(
    scenario_toml: str,
    run: str,
    round_number: int,
    weights: ArrayRecord,
    split: Split = "train",
    intervals: bool = False,
) -> RecordDict:
    """Ask a site to train (``split="train"``) or to evaluate on ``split``; ``weights`` are packed once a round."""
    config = {"scenario": scenario_toml, "run": run, "round": round_number, "split": split, "intervals": intervals}
    return RecordDict({WEIGHTS: weights, CONFIG: ConfigRecord(config)})  # type: ignore[arg-type]


_Part = TypeVar("_Part", ArrayRecord, ConfigRecord, MetricRecord)


def _part(content: RecordDict, key: str, kind: type[_Part]) -> _Part:
    """``content[key]``. Not through ``content.array_records`` and the like, whose caches keep every message alive.

    Raises:
        UpdateError: there is none, or it is of another kind.
    """
    found = content.get(key)
    if not isinstance(found, kind):
        raise UpdateError(f'malformed: expected {kind.__name__} "{key}", got {", ".join(content) or "nothing"}')
    return found


def introduction(scenario_toml: str) -> RecordDict:
    """Ask a site who it is."""
    return RecordDict({CONFIG: ConfigRecord({"scenario": scenario_toml})})


def read_scenario(content: RecordDict) -> Scenario:
    """The scenario that a message carries."""
    return parse_scenario(str(_part(content, CONFIG, ConfigRecord)["scenario"]))


def read_request(content: RecordDict) -> Request:
    """The inverse of :func:`request`."""
    config = _part(content, CONFIG, ConfigRecord)
    split: Split = config["split"]  # type: ignore[assignment]
    record = _part(content, WEIGHTS, ArrayRecord)
    return Request(
        read_scenario(content),
        str(config["run"]),
        int(str(config["round"])),
        _unpack(record, WEIGHTS),
        split,
        bool(config["intervals"]),
        _unpack_extras(record, WEIGHTS),
    )


def info_reply(info: SiteInfo) -> RecordDict:
    """A site's answer to :func:`introduction`."""
    config: dict[str, str | int | list[int]] = {
        "site": info.site,
        "train": info.num_train,
        "val": info.num_val,
        "test": info.num_test,
        "class-counts": list(info.class_counts),
        "patients": info.num_patients,
        "split-here": info.split_here,
    }
    return RecordDict({CONFIG: ConfigRecord(config)})  # type: ignore[arg-type]


def read_info(content: RecordDict) -> SiteInfo:
    """The inverse of :func:`info_reply`.

    Raises:
        UpdateError: the reply is malformed.
    """
    try:
        c = _part(content, CONFIG, ConfigRecord)
        counts: list[int] = c["class-counts"]  # type: ignore[assignment]
        train, val, test, patients = (int(str(c[key])) for key in ("train", "val", "test", "patients"))
        split_here = c["split-here"] is True
        return SiteInfo(str(c["site"]), train, val, test, tuple(int(count) for count in counts), patients, split_here)
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
    arrays = _pack({UPDATE: update.tensors, **update.extras})
    return RecordDict({UPDATE: arrays, METRICS: MetricRecord(metrics)})


def mark_stacked(content: RecordDict) -> None:
    """Say in a site's reply that it was trained at once with others (``engine.vectorise``)."""
    content[STACKED] = ConfigRecord()


def read_update(site: str, content: RecordDict, with_loss: bool = True) -> Delivery:
    """The inverse of :func:`update_reply`; ``with_loss``: a training loss must be among the metrics.

    Raises:
        UpdateError: the reply lacks a part, or a tensor is malformed.
    """
    try:
        arrays, reported = _part(content, UPDATE, ArrayRecord), _part(content, METRICS, MetricRecord)
        if UPDATE not in arrays:
            raise UpdateError(f'no tensors "{UPDATE}"')
    except UpdateError as error:
        raise UpdateError(f"site {site}: {error}") from error
    numbers = {name: float(value) for name, value in reported.items() if not isinstance(value, list)}
    missing = {"num-examples", "num-steps", "seconds"} - numbers.keys()
    if missing:
        raise UpdateError(f"site {site}: the reply lacks {', '.join(sorted(missing))}")
    metrics = {name.removeprefix("metric."): value for name, value in numbers.items() if name.startswith("metric.")}
    examples, steps = numbers["num-examples"], numbers["num-steps"]
    if not all(map(math.isfinite, numbers.values())) or (with_loss and "loss" not in metrics):
        raise UpdateError(f"site {site}: counts must be finite, and a finite loss be among the metrics; got {numbers}")
    try:
        tensors, extras = _unpack(arrays, UPDATE), _unpack_extras(arrays, UPDATE)
    except UpdateError as error:
        raise UpdateError(f"site {site}: {error}") from error
    update = Update(site, tensors, int(examples), int(steps), metrics, extras)
    return Delivery(update, numbers["seconds"], num_bytes(arrays), STACKED in content)


def evaluation_reply(evaluation: Evaluation) -> RecordDict:
    """A site's metrics, as numbers (:mod:`medfed.metric_numbers`)."""
    return RecordDict({METRICS: MetricRecord({**metric_numbers.flatten(evaluation)})})


def read_evaluation(site: str, content: RecordDict) -> Evaluation:
    """The inverse of :func:`evaluation_reply`.

    Raises:
        UpdateError: the reply is malformed, or a number is not finite.
    """
    try:
        record = _part(content, METRICS, MetricRecord)
        return metric_numbers.unflatten({key: value for key, value in record.items() if not isinstance(value, list)})
    except (UpdateError, KeyError, TypeError, ValueError) as error:
        raise UpdateError(f"site {site}: its metrics are malformed: {' '.join(str(error).split())[:200]}") from error

"""What the phases of secure aggregation say to each other in Flower's messages.

A phase's question and answer are JSON in a ConfigRecord; a masked vector is one buffer of safetensors, as an update is.
"""

from typing import Any, TypeVar

import numpy as np
import pydantic
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, MessageType, MetricRecord, RecordDict
from pydantic.dataclasses import dataclass

from medfed import payload
from medfed.errors import UpdateError
from medfed.exchanged import RELEASES
from privacy.secure_aggregation.masks import Ring
from privacy.secure_aggregation.site import Invitation, PublicKeys

KEYS = "secure_keys"
SHARES = "secure_shares"
MASKED = "secure_masked"
OPEN = "secure_open"
"""Names of the phases; each is an action of Flower's ClientApp."""

MESSAGE_TYPES = {
    KEYS: f"{MessageType.QUERY}.{KEYS}",
    SHARES: f"{MessageType.QUERY}.{SHARES}",
    MASKED: f"{MessageType.TRAIN}.{MASKED}",
    OPEN: f"{MessageType.QUERY}.{OPEN}",
}

_RECORD = "secure"
_JSON = "json"
_VECTOR = "vector"
_SECONDS = "seconds"
_STYPE = "safetensors"
_CONFIG = pydantic.ConfigDict(ser_json_bytes="hex", val_json_bytes="hex", extra="forbid")


@dataclass(frozen=True, config=_CONFIG)
class AskKeys:
    """First question: keys for ``session`` of ``run``."""

    run: str
    session: bytes


@dataclass(frozen=True, config=_CONFIG)
class AskShares:
    """Second question: letters for the neighbours; it is answered by :class:`Letters`."""

    run: str
    invitation: Invitation


@dataclass(frozen=True, config=_CONFIG)
class AskMasked:
    """Rides on a train message: letters of the neighbours who shared, and the levels of quantisation."""

    letters: dict[str, bytes]
    levels: int


@dataclass(frozen=True, config=_CONFIG)
class AskShare:
    """Last question: a share for each neighbour, of whom ``delivered`` have."""

    run: str
    session: bytes
    delivered: list[str]


@dataclass(frozen=True, config=_CONFIG)
class Letters:
    """By receiver: sealed letters; by owner: shares."""

    by_site: dict[str, bytes]


Value = AskKeys | AskShares | AskMasked | AskShare | Letters | PublicKeys
T = TypeVar("T")


def put(value: Value, content: RecordDict | None = None) -> RecordDict:
    """``content`` with ``value`` in it; a message of nothing else if there is none."""
    content = RecordDict() if content is None else content
    text = pydantic.TypeAdapter[Any](type(value)).dump_json(value)
    content[_RECORD] = ConfigRecord({_JSON: text})
    return content


def take(content: RecordDict, kind: type[T]) -> T:
    """The inverse of :func:`put`.

    Raises:
        UpdateError: there is no ``kind`` in it, or it is malformed.
    """
    record = content.get(_RECORD)
    text = record.get(_JSON) if isinstance(record, ConfigRecord) else None
    if not isinstance(text, bytes):
        raise UpdateError(f"secure aggregation: expected {kind.__name__}, got {', '.join(content) or 'nothing'}")
    try:
        return pydantic.TypeAdapter(kind).validate_json(text)
    except pydantic.ValidationError as error:
        raise UpdateError(f"secure aggregation: malformed {kind.__name__}: {error.error_count()} faults") from error


def put_vector(vector: Ring, seconds: float, releases: float | None = None) -> RecordDict:
    """A masked vector, the seconds that the site worked, and how often it has released in this round, if it noises."""
    signed = vector.view(np.int32 if vector.itemsize == 4 else np.int64)
    data = payload.pack({_VECTOR: torch.from_numpy(signed)})
    array = Array("uint8", (len(data),), _STYPE, b"")
    array.data = data  # type: ignore[assignment] # the constructor wants bytes, Flower itself takes any buffer
    record = ArrayRecord()
    record[_VECTOR] = array
    about = {_SECONDS: seconds} if releases is None else {_SECONDS: seconds, RELEASES: releases}
    return RecordDict({_VECTOR: record, _SECONDS: MetricRecord({**about})})


def take_vector(content: RecordDict, like: Ring) -> tuple[Ring, float, int]:
    """A masked vector of the form of ``like``, the seconds, and its bytes.

    Raises:
        UpdateError: it has another form, or a part is missing.
    """
    record, about = content.get(_VECTOR), content.get(_SECONDS)
    if not isinstance(record, ArrayRecord) or not isinstance(about, MetricRecord) or _VECTOR not in record:
        raise UpdateError(f"expected a masked vector, got {', '.join(content) or 'nothing'}")
    data = record[_VECTOR].data
    found = payload.unpack(data).get(_VECTOR)
    seconds = about.get(_SECONDS)
    if found is None or found.ndim != 1 or not isinstance(seconds, float | int) or not np.isfinite(seconds):
        raise UpdateError("expected one masked vector and its seconds")
    vector = found.numpy()
    if vector.dtype.kind != "i" or vector.itemsize != like.itemsize or len(vector) != len(like):
        raise UpdateError(
            f"expected a masked vector of {len(like)} integers of {8 * like.itemsize} bits, got {len(vector)} of "
            f"{vector.dtype}"
        )
    return vector.view(like.dtype), float(seconds), len(data)


def num_bytes(content: RecordDict) -> int:
    """Bytes of the part that secure aggregation adds to a message, keys, letters or shares."""
    record = content.get(_RECORD)
    text = record.get(_JSON) if isinstance(record, ConfigRecord) else None
    return len(text) if isinstance(text, bytes) else 0


def stated_releases(content: RecordDict) -> float | None:
    """How often the site of a masked vector has released in this round, as its ledger has it; None if it says none."""
    about = content.get(_SECONDS)
    stated = about.get(RELEASES) if isinstance(about, MetricRecord) else None
    return float(stated) if isinstance(stated, float | int) else None

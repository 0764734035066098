"""``--grid KEY=VALUE,VALUE``: axes, the product of their values, and a folder's name for each point. Pure."""

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medfed.config import Scenario
from medfed.errors import ScenarioError
from medfed.overrides import short_names, split_override

MAX_RUN_NAME = 64  # as `name` of a scenario, which a run's folder is called by
_PAIRS = {"[": "]", "{": "}", "(": ")"}
_HASH_DIGITS = 8

Settings = dict[str, str]
"""Full key -> value as it was typed."""


@dataclass(frozen=True)
class Axis:
    """One key and the values that it takes, as they were typed."""

    key: str
    values: tuple[str, ...]


def parse_axis(text: str) -> Axis:
    """``strategy.name=fedavg,fedprox`` -> its axis, the key written out in full.

    Raises:
        ScenarioError: not of that form, an empty or repeated value, or a key that a sweep sets itself.
    """
    key, listed = split_override(text, Scenario, "--grid")
    if key in ("seed", "name"):
        remedy = {"seed": "give --seeds N", "name": "runs are named by what they vary"}[key]
        raise ScenarioError(f'--grid "{text}": the sweep sets "{key}" itself; {remedy}')
    values = split_values(listed)
    if values is None or "" in values:
        raise ScenarioError(
            f'--grid "{text}": expected KEY=VALUE,VALUE with closed brackets and quotes, no value empty'
        )
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ScenarioError(f'--grid "{text}": expected different values; got {repeated[0]} more than once')
    return Axis(key, tuple(values))


def split_values(text: str) -> list[str] | None:
    """The parts between commas that stand outside brackets and quotes, stripped; None where one is not closed."""
    parts, start, closing, quote = [], 0, [], ""
    position = 0
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\" and quote == '"':
                position += 1  # whatever it escapes
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif character in _PAIRS:
            closing.append(_PAIRS[character])
        elif closing and character == closing[-1]:
            closing.pop()
        elif character == "," and not closing:
            parts.append(text[start:position].strip())
            start = position + 1
        position += 1
    return None if quote or closing else [*parts, text[start:].strip()]


def product(axes: Sequence[Axis]) -> list[Settings]:
    """Every combination of values, the last axis changing fastest; one without settings where there is no axis."""
    keys = [axis.key for axis in axes]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*(axis.values for axis in axes))]


def labels(points: Sequence[Settings], longest_seed: int) -> list[str]:
    """A readable, safe and unique name for each point, short enough for ``LABEL-seedN`` to be the name of a run.

    ``{"federation.strategy.name": "fedavg", "data.partition.alpha": "0.1"}`` -> ``strategy-fedavg_alpha-0.1``. What is
    too long, or differs only in what a folder's name cannot show, ends in a hash of the settings.
    """
    most = MAX_RUN_NAME - len(f"-seed{longest_seed}")
    plain = [_plain_label(point) for point in points]
    alike = [label.lower() for label in plain]  # some file systems do not tell case
    return [
        label if len(label) <= most and alike.count(label.lower()) == 1 else _hashed(label, point, most)
        for label, point in zip(plain, points, strict=True)
    ]


def _plain_label(point: Settings) -> str:
    names = short_names(list(point))
    return "_".join(f"{names[key]}-{_safe(value)}" for key, value in point.items()) or "base"


def _safe(value: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", value.strip("\"'[]{} ")).rstrip("-")


def _hashed(label: str, point: Mapping[str, str], most: int) -> str:
    digest = hashlib.sha256(json.dumps(point, sort_keys=True).encode()).hexdigest()[:_HASH_DIGITS]
    return f"{label[: most - _HASH_DIGITS - 1]}-{digest}"

"""The threat model as a value: how far an attacker may move an image, within which range, and to what end.

``eps`` is a number of *units* that a person chooses: grey levels, Hounsfield units, or the model's own input
(``per_unit = 1``). ``per_unit`` says how many of them one step of 1.0 in the model's input is, per channel where
channels differ, so that conversions are exact and distances are reported in the units in which eps was stated.
"""

import math
from typing import Any, Literal

import pydantic
import torch
from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin

Norm = Literal["linf", "l2", "l0", "patch", "spatial"]
"""``linf`` largest change; ``l2`` Euclidean length; ``l0`` number of positions changed (all channels of one count
once); ``patch`` share of the image's area inside the smallest box around all changes; ``spatial`` pixels by which a
point of the image moves (kept by the attack; only the range is checked)."""

Goal = Literal["untargeted", "targeted", "hide", "invent", "shift"]
"""``untargeted`` any wrong decision; ``targeted`` the class ``target``; ``hide`` the finding ``target`` where there is
one; ``invent`` it where there is none; ``shift`` wrong pixels along the boundary of a segmented finding."""

PerChannel = float | tuple[float, ...]

_ROUNDING = 1 + 1e-6
"""An eps as wide as the range stays one when the range is z-scored, whose ends are rounded."""


@plugin
class ThreatModel:
    """What an attacker may do: ``norm((x' - x) * per_unit) <= eps`` and ``low <= x' <= high``.

    Attributes:
        norm: how distance is measured.
        eps: the largest distance, in the units of ``per_unit``; a share of the area for ``patch``; infinite for no
            bound but the range.
        low: the least value of the model's input, for all channels or one per channel.
        high: the largest value.
        per_unit: units of eps per 1.0 of the model's input, for all channels or one per channel (linf and l2).
        goal: what counts as success.
        target: the class or finding of the goal; for hide and invent the default is finding 1 of a binary head.
    """

    norm: Norm = "linf"
    eps: float
    low: PerChannel = 0.0
    high: PerChannel = 1.0
    per_unit: PerChannel = 1.0
    goal: Goal = "untargeted"
    target: int | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> "ThreatModel":
        if math.isnan(self.eps) or self.eps < 0:
            raise ValueError(f"threat model: eps expected a number of 0 or more; got {self.eps}")
        lows, highs, units = _numbers(self.low), _numbers(self.high), _numbers(self.per_unit)
        lengths = {len(values) for values in (lows, highs, units)} - {1}
        if len(lengths) > 1:
            raise ValueError(f"threat model: low, high and per_unit expected as many channels; got {sorted(lengths)}")
        if not all(map(math.isfinite, (*lows, *highs, *units))) or min(units) <= 0:
            raise ValueError("threat model: low, high and per_unit expected finite numbers, per_unit above 0")
        widths = [high - low for low, high in zip(*_same_length(lows, highs), strict=True)]
        if min(widths) <= 0:
            raise ValueError(f"threat model: high expected above low in every channel; got {self.low} to {self.high}")
        self._check_size()
        if self.goal == "targeted" and self.target is None:
            raise ValueError('threat model: goal "targeted" expected a target class; got none; set target')
        if self.target is not None and (self.target < 0 or self.goal in ("untargeted",)):
            raise ValueError(f'threat model: target {self.target} does not fit goal "{self.goal}"; use "targeted"')
        return self

    @property
    def width(self) -> float:
        """The width of the range, in units of eps; of the widest channel."""
        lows, highs, units = _same_length(_numbers(self.low), _numbers(self.high), _numbers(self.per_unit))
        return max((high - low) * unit for low, high, unit in zip(lows, highs, units, strict=True))

    def _check_size(self) -> None:
        """Refuse an eps that no image of this range can use: nearly always eps and images in different units."""
        if self.norm == "linf" and math.isfinite(self.eps) and self.eps > self.width * _ROUNDING:
            raise ValueError(
                f"threat model: eps expected at most the width of the range, {self.width:g}; got {self.eps:g}; state "
                "eps in the units of the input, or use ThreatModel.grey_levels, .hounsfield or .z_scored"
            )
        if self.norm == "patch" and not 0 <= self.eps <= 1:
            raise ValueError(f"threat model: eps of a patch is a share of the area, 0 to 1; got {self.eps:g}")
        if self.norm == "l0" and math.isfinite(self.eps) and self.eps != int(self.eps):
            raise ValueError(f"threat model: eps of l0 is a number of positions; got {self.eps:g}")

    @classmethod
    def grey_levels(cls, eps: float, *, norm: Norm = "linf", bits: int = 8, **fields: Any) -> "ThreatModel":
        """Take eps in grey levels of ``bits`` bits, for a model that reads them divided by 2**bits - 1 into [0, 1]."""
        return cls(norm=norm, eps=float(eps), per_unit=float(2**bits - 1), **fields)

    @classmethod
    def hounsfield(
        cls, eps: float, window: tuple[float, float], *, norm: Norm = "linf", **fields: Any
    ) -> "ThreatModel":
        """Take eps in Hounsfield units, for a model that reads the window (lowest, highest HU) mapped to [0, 1]."""
        lowest, highest = window
        if not lowest < highest:
            raise ValueError(f"threat model: window expected (lowest, highest) HU; got {window}")
        return cls(norm=norm, eps=float(eps), per_unit=float(highest - lowest), **fields)

    def z_scored(self, mean: PerChannel, std: PerChannel) -> "ThreatModel":
        """The same threat for a model that reads ``(x - mean) / std`` of what this threat model is about."""
        means, stds = _numbers(mean), _numbers(std)
        if min(stds) <= 0:
            raise ValueError(f"threat model: std expected above 0; got {std}")
        lows, highs, units, means, stds = _same_length(
            _numbers(self.low), _numbers(self.high), _numbers(self.per_unit), means, stds
        )
        fields = {field: getattr(self, field) for field in ("norm", "eps", "goal", "target")}
        return ThreatModel(
            low=tuple((low - m) / s for low, m, s in zip(lows, means, stds, strict=True)),
            high=tuple((high - m) / s for high, m, s in zip(highs, means, stds, strict=True)),
            per_unit=tuple(unit * s for unit, s in zip(units, stds, strict=True)),
            **fields,
        )

    def replace(self, **fields: Any) -> "ThreatModel":
        """The same threat model with some fields changed."""
        return ThreatModel(**{name: fields.get(name, getattr(self, name)) for name in self.__dataclass_fields__})


def per_channel(value: PerChannel, images: Float[Tensor, "batch channel *space"]) -> Tensor:
    """``value`` as a tensor that broadcasts over ``images``: (1, channel or 1, 1, ...)."""
    numbers = torch.tensor(_numbers(value), dtype=images.dtype, device=images.device)
    return numbers.reshape(1, -1, *[1] * (images.ndim - 2))


def _numbers(value: PerChannel) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _same_length(*columns: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Every column as long as the longest; a single number is repeated."""
    length = max(len(column) for column in columns)
    return tuple(column * length if len(column) == 1 else column for column in columns)

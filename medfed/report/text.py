"""Words and numbers of a report: metric names, rounding, intervals, short labels, ranges of rounds."""

import math
import unicodedata
from collections.abc import Iterable, Sequence

from medfed.results import LOWER_IS_BETTER, METRICS, Estimate

DASH = "\N{EN DASH}"
LABEL_LENGTH = 32
_TITLES = {
    "auroc": "AUROC",
    "balanced_accuracy": "Balanced accuracy",
    "accuracy": "Accuracy",
    "ece": "Calibration error (ECE)",
    "dice": "Dice",
    "iou": "IoU",
    "hd95": "Hausdorff distance, 95 % (pixels)",
    "loss": "Loss",
}


def metric_title(metric: str) -> str:
    """What a person calls a metric; an unknown key is shown as it is, made short."""
    return _TITLES.get(metric, short(metric))


def direction(metric: str) -> str:
    """Which way is better, in words."""
    return "lower is better" if metric in LOWER_IS_BETTER else "higher is better"


def in_order(metrics: Iterable[str]) -> list[str]:
    """Metric keys in the order of :data:`medfed.results.METRICS`, unknown ones after them by name."""
    rank = {metric: position for position, metric in enumerate(METRICS)}
    return sorted(set(metrics), key=lambda metric: (rank.get(metric, len(rank)), metric))


def number(value: float | None, digits: int = 3) -> str:
    """A rounded number, or a dash where there is none; never "-0.000"."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def interval(estimate: Estimate | None, digits: int = 3) -> str:
    """``low-high`` with an en dash, empty where no interval is known."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    separator = DASH if estimate.low >= 0 else " to "
    return f"{number(estimate.low, digits)}{separator}{number(estimate.high, digits)}"


def percent(share: float) -> str:
    """A share as whole per cent; ``0.5`` -> ``50 %``."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def size(num_bytes: int) -> str:
    """Bytes in a readable unit (powers of ten)."""
    value = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as ``12 s``, ``3 min 20 s`` or ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if whole < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def short(text: str, length: int = LABEL_LENGTH) -> str:
    """At most ``length`` characters, cut in the middle; control characters become dots."""
    clean = "".join("·" if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text[: 4 * length])
    if len(text) > 4 * length:
        clean += text[-length:].translate(dict.fromkeys(range(32), "·"))
    if len(clean) <= length:
        return clean
    head = length * 2 // 3
    return f"{clean[:head]}…{clean[len(clean) - (length - head - 1) :]}"


def labels(names: Iterable[str], length: int = LABEL_LENGTH) -> dict[str, str]:
    """A short label for each name; names that would look alike get a number."""
    found: dict[str, str] = {}
    seen: dict[str, int] = {}
    for name in dict.fromkeys(names):
        label = short(name, length) or "(no name)"
        seen[label] = seen.get(label, 0) + 1
        found[name] = label if seen[label] == 1 else f"{label} #{seen[label]}"
    return found


def ranges(rounds: Iterable[int]) -> str:
    """``[1, 2, 3, 7]`` -> ``1-3, 7``, with an en dash."""
    runs: list[list[int]] = []
    for value in sorted(set(rounds)):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}{DASH}{b}" for a, b in runs)


def listing(items: Sequence[str], limit: int = 6) -> str:
    """``a, b and c``; what exceeds ``limit`` is counted."""
    if len(items) > limit:
        return f"{', '.join(items[:limit])} and {len(items) - limit} more"
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))

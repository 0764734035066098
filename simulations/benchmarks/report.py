"""What every benchmark prints: a table for people and one closing JSON line for programs."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measured case.

    ``peer`` is None, with the reason, where the peer cannot be run; ``goal`` where there is none, or it is the peer's.
    """

    case: str
    ours: float
    peer: float | None
    unit: str
    better: Literal["lower", "higher"]
    goal: float | None
    reason: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours / peer."""
        return self.ours / self.peer if self.peer else None

    @property
    def holds(self) -> bool | None:
        """Whether ``ours`` meets ``goal``; None where there is none."""
        if self.goal is None:
            return None
        return self.ours <= self.goal if self.better == "lower" else self.ours >= self.goal


_SAID = {True: "yes", False: "NO", None: "-"}


def print_rows(name: str, rows: list[Row]) -> None:
    """Print the table, then the closing line."""
    table = Table("case", "ours", "peer", "unit", "ours / peer", "goal", "holds", title=name)
    for row in rows:
        peer = row.reason if row.peer is None else f"{row.peer:.4g}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.3f}"
        sign = "<=" if row.better == "lower" else ">="
        goal = "-" if row.goal is None else f"{sign} {row.goal:g}"
        table.add_row(row.case, f"{row.ours:.4g}", peer, row.unit, ratio, goal, _SAID[row.holds])
    Console(width=120).print(table)
    closing = {"name": name, "rows": [asdict(row) | {"ratio": row.ratio, "holds": row.holds} for row in rows]}
    print(json.dumps(closing))

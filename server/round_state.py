"""What a round is run with, what it comes to, and where it stands."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from flwr.serverapp import Grid

from medfed.config import Scenario
from medfed.results import Failure, RoundResult, SiteRound
from medfed.run_folder import RunFolder
from medfed.types import Weights
from server.asked import AskedLog
from server.exchange import Fault, LocalGrid, announce
from server.roster import Roster
from server.spool import Spool

AGGREGATOR = "aggregator"
STRATEGY = "strategy"
"""Prefixes of what each remembers, in a round's ``state``."""


@dataclass(frozen=True, eq=False)
class Federation:
    """What stays the same over the rounds of a run; ``run`` tells runs of one scenario apart.

    ``simulated``: all sites are in one machine or cluster of ours, so that noise may be drawn from the seed.
    """

    grid: Grid
    scenario: Scenario
    roster: Roster
    folder: RunFolder
    run: str
    simulated: bool = False

    @property
    def spools_durably(self) -> bool:
        """A deployment always does; a simulation, whose grid is local, where the scenario asks for it."""
        return self.scenario.engine.spool or not isinstance(self.grid, LocalGrid)

    @cached_property
    def asked_log(self) -> AskedLog:
        """Who was asked for something noised, and how often."""
        return AskedLog(self.folder.path)


@dataclass(frozen=True, eq=False)
class Outcome:
    """A closed round: next weights and state, its line for ``rounds.jsonl``, and whether a batch fell apart.

    ``unstacked``: sites that were to be trained at once (``engine.vectorise``) were trained one by one.
    """

    weights: Weights
    state: Weights
    result: RoundResult
    unstacked: bool


@dataclass
class OpenRound:
    """A round in progress; ``weights`` and ``state`` move from stage to stage."""

    number: int
    weights: Weights
    state: Weights
    spool: Spool
    draws: np.random.Generator
    sites: dict[str, SiteRound] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    bytes_up: int = 0
    bytes_down: int = 0
    moved: bool = False  # an earlier stage may have come out otherwise than before a crash: not all was in the spool
    num_cut: int | None = None  # values of updates that sites cut under secure aggregation
    alone: set[str] = field(default_factory=set)  # sites that were trained by themselves
    unstacked: bool = False

    def fail(self, fault: Fault) -> None:
        """Tell whoever watches, and write it down."""
        announce(fault, self.number)
        self.failed.append(fault.failure)

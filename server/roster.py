"""Who is there: site names to node ids, learnt by asking every new node once."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from flwr.serverapp import Grid

from medfed import messages
from medfed.config import Scenario
from medfed.errors import QuorumError, ScenarioError, UpdateError
from medfed.messages import SiteInfo
from medfed.results import Failure
from server.checks import check_info, check_return
from server.exchange import POLL_SECONDS, Fault, MessageType, Reply, announce, exchange
from server.quorum import required

_QUERY_WINDOW = 64
_DUPLICATE = "duplicate"


@dataclass
class Roster:
    """Node ids and introductions of the expected sites, by name.

    ``infos`` are there from the beginning of those who were asked in the run before it was resumed. ``faults`` are
    nodes that could not introduce themselves, or took a name that is taken; ``uninvited`` are names that the scenario
    does not expect: they get no weights and count nowhere.
    """

    nodes: dict[str, int] = field(default_factory=dict)
    infos: dict[str, SiteInfo] = field(default_factory=dict)
    faults: dict[int, Failure] = field(default_factory=dict)
    uninvited: set[str] = field(default_factory=set)
    known: set[int] = field(default_factory=set)

    def retry_faults(self) -> None:
        """Let the next :meth:`refresh` ask those again who could not introduce themselves."""
        self.known -= self.faults.keys()
        self.faults.clear()

    def absence(self, site: str) -> Failure:
        """Why ``site`` cannot be asked."""
        causes = sorted({fault.cause for fault in self.faults.values()})
        cause = "the site never joined" + (f" (nodes that could not: {'; '.join(causes[:3])})" if causes else "")
        return Failure(site=site, code="absent", cause=cause, remedy="is its node running, and its data mounted?")

    def refresh(self, grid: Grid, scenario: Scenario) -> None:
        """Ask nodes not seen before who they are."""
        present = set(grid.get_node_ids())
        new = {f"node-{node:020d}": node for node in present - self.known}
        text = scenario.travelling_text()
        replies = exchange(
            grid,
            new,
            MessageType.QUERY,
            lambda _: messages.introduction(text),
            round_number=0,
            deadline_seconds=min(scenario.federation.join_seconds, scenario.federation.deadline_seconds),
            window=_QUERY_WINDOW,
        )
        for label, reply in replies:
            self.known.add(new[label])
            self._enter(scenario, label, new[label], reply, present)

    def _enter(self, scenario: Scenario, label: str, node: int, reply: Reply, present: set[int]) -> None:
        try:
            if isinstance(reply, Fault):
                fault = reply
            else:
                info = messages.read_info(reply)
                check_info(info, scenario)
                if info.site not in scenario.federation.sites:
                    self.uninvited.add(info.site)
                    return
                if self.nodes.get(info.site) not in present:
                    check_return(info, self.infos.get(info.site), scenario)
                    self.nodes[info.site], self.infos[info.site] = node, info
                    return
                cause = f'two nodes call themselves site "{info.site}"'
                fault = Fault(Failure(site=label, code=_DUPLICATE, cause=cause, remedy="give each a name of its own"))
        except UpdateError as error:
            remedy = "are its counts true, and is its medfed the same?"
            fault = Fault(Failure(site=label, code="introduction", cause=str(error), remedy=remedy))
        self.faults[node] = fault.failure
        announce(fault, 0)


def join(grid: Grid, scenario: Scenario, infos: Mapping[str, SiteInfo] | None = None) -> Roster:
    """Wait until every expected site has introduced itself, or ``federation.join_seconds`` are over.

    ``infos``: of sites that were asked before the run was resumed.

    Raises:
        ScenarioError: ``federation.sites`` is empty, or a name is claimed twice.
        QuorumError: fewer sites than the quorum came.
    """
    expected = scenario.federation.sites
    if not expected:
        raise ScenarioError('key "federation.sites": is empty; list the sites that must take part')
    roster = Roster(infos=dict(infos or {}))
    deadline = time.monotonic() + scenario.federation.join_seconds
    while True:
        roster.refresh(grid, scenario)
        absent = [site for site in expected if site not in roster.nodes]
        # A node that answered with a fault will not get better by waiting; count it as come.
        if len(absent) <= len(roster.faults) or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    for fault in roster.faults.values():
        if fault.code == _DUPLICATE:
            raise ScenarioError(f"{fault.cause}; {fault.remedy}")
    _require_quorum(scenario, roster, absent)
    return roster


def _require_quorum(scenario: Scenario, roster: Roster, absent: list[str]) -> None:
    expected, quorum = scenario.federation.sites, scenario.federation.quorum
    present = len(expected) - len(absent)
    if present >= required(quorum, len(expected)):
        return
    causes = "; ".join(sorted({failure.cause for failure in roster.faults.values()})[:3])
    raise QuorumError(
        f"only {present} of {len(expected)} sites came (federation.quorum = {quorum:g}); "
        f"absent: {', '.join(absent[:5])}{'; ' + causes if causes else ''}"
    )

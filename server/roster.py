"""Who is there: site names to node ids, learnt by asking every new node once."""

import time
from dataclasses import dataclass, field

from flwr.serverapp import Grid

from medfed import messages
from medfed.config import Scenario
from medfed.errors import QuorumError, ScenarioError
from medfed.messages import SiteInfo
from medfed.results import Failure
from server.exchange import POLL_SECONDS, Fault, MessageType, announce, exchange


@dataclass
class Roster:
    """Node ids and introductions by site name; ``faults`` are nodes that could not introduce themselves."""

    nodes: dict[str, int] = field(default_factory=dict)
    infos: dict[str, SiteInfo] = field(default_factory=dict)
    faults: dict[int, Failure] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)

    def retry_faults(self) -> None:
        """Let the next :meth:`refresh` ask those again who could not introduce themselves."""
        self.known -= self.faults.keys()
        self.faults.clear()

    def absence(self, site: str) -> Failure:
        """Why ``site`` cannot be asked."""
        return Failure(site=site, code="absent", cause="the site never joined", remedy="is its node running?")

    def refresh(self, grid: Grid, scenario: Scenario) -> None:
        """Ask nodes not seen before who they are.

        Raises:
            ScenarioError: two nodes claim one site name.
        """
        new = {f"node-{node:020d}": node for node in grid.get_node_ids() if node not in self.known}
        text = scenario.travelling().to_toml()
        replies = exchange(
            grid,
            new,
            MessageType.QUERY,
            lambda: messages.introduction(text),
            round_number=0,
            deadline_seconds=scenario.federation.deadline_seconds,
            window=64,
        )
        for label, reply in replies:
            self.known.add(new[label])
            if isinstance(reply, Fault):
                self.faults[new[label]] = reply.failure
                announce(reply, 0)
                continue
            info = messages.read_info(reply)
            if info.site in self.nodes and self.nodes[info.site] in set(grid.get_node_ids()):
                raise ScenarioError(f'two nodes call themselves site "{info.site}"; every site needs a name of its own')
            self.nodes[info.site] = new[label]
            self.infos[info.site] = info


def join(grid: Grid, scenario: Scenario) -> Roster:
    """Wait until every expected site has introduced itself, or ``federation.join_seconds`` are over.

    Raises:
        ScenarioError: ``federation.sites`` is empty, or a name is claimed twice.
        QuorumError: fewer sites than the quorum came.
    """
    expected = scenario.federation.sites
    if not expected:
        raise ScenarioError('key "federation.sites": is empty; list the sites that must take part')
    roster = Roster()
    deadline = time.monotonic() + scenario.federation.join_seconds
    while True:
        roster.refresh(grid, scenario)
        absent = [site for site in expected if site not in roster.nodes]
        # A node that answered with a fault will not get better by waiting; count it as come.
        if len(absent) <= len(roster.faults) or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    present = len(expected) - len(absent)
    if present < max(1.0, scenario.federation.quorum * len(expected)):
        causes = "; ".join(failure.cause for failure in roster.faults.values())
        raise QuorumError(
            f"only {present} of {len(expected)} sites came (quorum {scenario.federation.quorum:g}); "
            f"absent: {', '.join(absent[:5])}{'; ' + causes if causes else ''}"
        )
    return roster

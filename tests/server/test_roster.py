"""Who is there. Oracles: a scripted grid whose nodes answer, fail, or claim a name twice."""

from collections.abc import Callable

import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from medfed import messages
from medfed.config import Scenario, parse_scenario
from medfed.errors import QuorumError, ScenarioError
from server.roster import Roster, join
from simulations.engine.grid import InProcessGrid


def scenario(*sites: str, quorum: float = 0.5) -> Scenario:
    return parse_scenario(f"""
        name = "roster"
        model = "small_cnn"
        task = {{ kind = "classification", classes = ["a", "b"] }}
        data = {{ image_size = 28 }}
        training = {{ rounds = 1, local_steps = 1, batch_size = 1, loss = "cross_entropy" }}
        federation = {{ sites = {list(sites)}, quorum = {quorum}, join_seconds = 0.3 }}
    """)


def grid(**claims: str) -> tuple[InProcessGrid, dict[str, str]]:
    """Nodes that claim the given site names; the claim ``fail`` raises. The claims may be changed afterwards."""
    app = ClientApp()

    @app.query()
    def query(message: Message, context: Context) -> Message:
        claim = claims[str(context.node_config["key"])]
        if claim == "fail":
            raise RuntimeError("disk not mounted")
        return Message(messages.info_reply(messages.SiteInfo(claim, 3, 1, 1, (2, 1))), reply_to=message)

    return InProcessGrid(app, {key: {"key": key} for key in claims}), claims


def test_sites_are_found_by_the_names_they_give() -> None:
    roster = join(grid(k1="b", k2="a")[0], scenario("a", "b"))
    assert set(roster.nodes) == {"a", "b"}
    assert roster.infos["a"].num_train == 3


def test_two_nodes_with_one_name_are_refused() -> None:
    with pytest.raises(ScenarioError, match='call themselves site "a"'):
        join(grid(k1="a", k2="a")[0], scenario("a", "b"))


def test_no_expected_sites_is_an_error_of_the_scenario() -> None:
    with pytest.raises(ScenarioError, match=r"federation\.sites"):
        join(grid(k1="a")[0], scenario())


@pytest.mark.parametrize(("quorum", "enough"), [(0.5, True), (0.6, False)])
def test_the_quorum_counts_expected_sites(quorum: float, enough: bool) -> None:
    check: Callable[[], Roster] = lambda: join(grid(k1="a", k2="fail")[0], scenario("a", "b", quorum=quorum))  # noqa: E731
    if enough:
        roster = check()
        assert set(roster.nodes) == {"a"}
        assert "disk not mounted" in next(iter(roster.faults.values())).cause
    else:
        with pytest.raises(QuorumError, match=r"1 of 2 sites came .* absent: b; disk not mounted"):
            check()


def test_a_site_that_never_comes_is_waited_for_and_then_named() -> None:
    with pytest.raises(QuorumError, match="absent: b"):
        join(grid(k1="a")[0], scenario("a", "b", quorum=1.0))


def test_who_failed_to_introduce_itself_is_asked_again() -> None:
    machine, claims = grid(k1="a", k2="fail")
    roster = join(machine, scenario("a", "b"))
    claims["k2"] = "b"
    roster.refresh(machine, scenario("a", "b"))
    assert set(roster.nodes) == {"a"}  # not at every look ...
    roster.retry_faults()
    roster.refresh(machine, scenario("a", "b"))
    assert set(roster.nodes) == {"a", "b"}  # ... but in the next round


def test_uninvited_nodes_get_nothing() -> None:
    roster = join(grid(k1="a", k2="stranger")[0], scenario("a"))
    assert set(roster.nodes) == {"a"}
    assert roster.uninvited == {"stranger"}


def test_a_name_taken_later_is_a_fault_and_the_first_node_stays() -> None:
    machine, claims = grid(k1="a", k2="fail")
    roster = join(machine, scenario("a", "b"))
    first = roster.nodes["a"]
    claims["k2"] = "a"
    roster.retry_faults()
    roster.refresh(machine, scenario("a", "b"))
    assert roster.nodes["a"] == first
    assert [fault.code for fault in roster.faults.values()] == ["duplicate"]

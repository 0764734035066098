"""The in-process grid against Flower's contract. Oracles: the message ids, the order, the ClientApp's own replies."""

from flwr.app import ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from simulations.engine.grid import InProcessGrid

app = ClientApp()
seen: list[str] = []


@app.query()
def query(message: Message, context: Context) -> Message:
    seen.append(str(context.node_config["site"]))
    if context.node_config["site"] == "bad":
        raise RuntimeError("boom")
    return Message(RecordDict({"m": MetricRecord({"n": len(seen)})}), reply_to=message)


def make(grid: InProcessGrid, node: int) -> Message:
    return Message(RecordDict({"c": ConfigRecord()}), node, MessageType.QUERY, group_id="1")


def test_messages_run_only_when_their_replies_are_asked_for() -> None:
    seen.clear()
    grid = InProcessGrid(app, {"b": {"site": "b"}, "a": {"site": "a"}})
    first, second = list(grid.get_node_ids())
    ids = list(grid.push_messages([make(grid, first), make(grid, second)]))
    assert len(set(ids)) == 2
    assert seen == []
    (reply,) = grid.pull_messages(ids)
    assert seen == ["a"]  # nodes are numbered in the order of site names
    assert reply.metadata.reply_to_message_id == ids[0]
    (reply,) = grid.pull_messages(ids)
    assert seen == ["a", "b"]
    assert reply.content.metric_records["m"]["n"] == 2
    assert list(grid.pull_messages(ids)) == []


def test_an_exception_becomes_an_error_reply_with_the_traceback() -> None:
    grid = InProcessGrid(app, {"bad": {"site": "bad"}})
    (reply,) = grid.send_and_receive([make(grid, next(iter(grid.get_node_ids())))])
    assert reply.has_error()
    assert reply.error.reason.startswith("boom\n")
    assert 'raise RuntimeError("boom")' in reply.error.reason

"""A ClientApp whose batches die where they are told to."""

import os
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """One site by itself; dies where it is the one that kills."""
    return reply(message, context, batch=0)


def reply(message: Message, context: Context, batch: int) -> Message:
    """Say how many sites were trained together, 0 for none but this."""
    if not batch:
        heed(message, context)
    return Message(RecordDict({"answer": MetricRecord({"batch": batch})}), reply_to=message)


def together(messages: Sequence[Message], contexts: Sequence[Context]) -> list[Callable[[Message, Context], Message]]:
    """Die of any site that kills."""
    for message, context in zip(messages, contexts, strict=True):
        heed(message, context)
    return [partial(reply, batch=len(messages))] * len(messages)


def heed(message: Message, context: Context) -> None:
    """Die as often as the message says, counted by files in its folder."""
    config = message.content["config"]
    folder = Path(str(config["folder"]))
    if context.node_config["site"] == config["kills"] and len(list(folder.iterdir())) < int(str(config["times"])):
        (folder / str(len(list(folder.iterdir())))).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def request(folder: Path, kills: str = "", times: int = 0) -> RecordDict:
    """``kills``: the site that kills its worker, ``times`` in all."""
    return RecordDict({"config": ConfigRecord({"folder": str(folder), "kills": kills, "times": times})})

"""A ClientApp in the place of ours, one of whose sites sends what it should not, or spoils the disk."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from flwr.app import Context, Message, MessageType
from flwr.clientapp import ClientApp

from client.app import app
from medfed import messages
from medfed.run_folder import STOP_FILE
from medfed.types import Update, Weights

SITE = "site-02"


def _first(update: Update, value: torch.Tensor | None) -> Update:
    """With another tensor, or none, in the place of the first."""
    name = next(iter(update.tensors))
    rest: Weights = {key: old for key, old in update.tensors.items() if key != name}
    return replace(update, tensors=rest if value is None else {name: value} | rest)


CHANGES: Mapping[str, Callable[[Update], Update]] = {
    "missing key": lambda update: _first(update, None),
    "wrong shape": lambda update: _first(update, torch.zeros(3, 5)),
    "count -19": lambda update: replace(update, num_examples=-19),
    "count 1e12": lambda update: replace(update, num_examples=10**12),
    "count 0": lambda update: replace(update, num_examples=0),
}


class Hostile(ClientApp):
    """Our ClientApp, except for what ``does`` says of ``SITE``, or of all: a key of ``CHANGES``, or as below."""

    def __init__(self, does: str, everywhere: bool) -> None:
        super().__init__()
        self._does, self._everywhere = does, everywhere

    def __call__(self, message: Message, context: Context) -> Message:
        site, kind = str(context.node_config["site"]), message.metadata.message_type
        mine = self._everywhere or site == SITE
        home = Path(str(context.node_config["home"]))
        if mine and kind == MessageType.QUERY and self._does == "duplicate name":
            return app(message, replace_name(context, "site-01"))
        if mine and kind == MessageType.TRAIN:
            if self._does == "disk of the site":  # as if it could not be written: a file where a folder must be
                home.mkdir(parents=True)
                (home / "state").touch()
            if self._does == "stop file":
                (home.parents[1] / STOP_FILE).touch()
        reply = app(message, context)
        if mine and kind == MessageType.EVALUATE and self._does == "images 1e12":
            found = messages.read_evaluation(site, reply.content).model_copy(update={"num_images": 10**12})
            return Message(messages.evaluation_reply(found), reply_to=message)
        if mine and kind == MessageType.TRAIN and self._does in CHANGES:
            update = CHANGES[self._does](messages.read_update(site, reply.content).update)
            return Message(messages.update_reply(update, 0.0), reply_to=message)
        return reply


def replace_name(context: Context, name: str) -> Context:
    """``context`` of a node that calls itself ``name``."""
    config = dict(context.node_config) | {"site": name}
    return Context(context.run_id, context.node_id, config, context.state, context.run_config)

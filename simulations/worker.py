"""A worker process: takes one message after the other, calls the ClientApp, sends the reply back."""

import importlib
import logging
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from flwr.app import Context, Error, Message, RecordDict
from flwr.app.message import make_message
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from simulations.channel import Channel
from simulations.sharing import SharedRecord, receive, share

_CLIENT_APP_RAISED_EXCEPTION = 2  # flwr.common.constant.ErrorCode


def answer(app: Callable[[Message, Context], Message], message: Message, context: Context) -> Message:
    """The reply of ``app``; an exception becomes an error: the cause in the first line, the traceback below it."""
    try:
        return app(message, context)
    except Exception as fault:
        # Everything runs on one machine here, so the whole traceback may be shown.
        reason = f"{fault}\n{''.join(traceback.format_exception(fault))}"
        return Message(Error(_CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)


def packed(message: Message, *, keep: bool) -> tuple[tuple[Any, ...], list[SharedRecord]]:
    """A message as it goes through a channel: what is pickled, and its arrays."""
    if message.has_error():
        return (message.metadata, None, (message.error.code, message.error.reason)), []
    parts, shared = share(message.content, keep=keep)
    return (message.metadata, parts, None), shared


def unpacked(values: tuple[Any, ...], files: Sequence[int]) -> Message:
    """The inverse of :func:`packed`."""
    metadata, parts, error = values
    if error is not None:
        return make_message(metadata, error=Error(*error))
    return make_message(metadata, receive(parts, files))


def serve(app: str, file: int) -> None:
    """Answer for the ClientApp ``module:attribute``, in one torch thread, until the socket ``file`` is closed."""
    torch.set_num_threads(1)
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1  # as in the main process
    logging.getLogger("client").addHandler(logging.NullHandler())  # a fault's traceback is in the reply
    channel = Channel(socket.socket(fileno=file))
    with suppress(EOFError, ConnectionError):
        while True:
            _serve_one(app, channel)


def _serve_one(app: str, channel: Channel) -> None:
    (values, config), files = channel.receive()
    message = unpacked(values, files)
    context = Context(1, message.metadata.dst_node_id, config, RecordDict(), {})
    reply, shared = packed(answer(lambda *given: load(app)(*given), message, context), keep=False)
    channel.send(reply, [record.file.fileno() for record in shared])
    message.content.clear()  # else its arrays live until the collector comes: RecordDict.array_records makes a cycle
    sys.stdout.flush()  # what a user's own trainer prints


def load(app: str) -> ClientApp:
    """The ClientApp ``module:attribute``."""
    module, _, attribute = app.partition(":")
    found: ClientApp = getattr(importlib.import_module(module), attribute)
    return found

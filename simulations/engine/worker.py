"""A worker process: takes one task after the other, calls the ClientApp for its messages, sends the replies back."""

import ctypes
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
from flwr.supercore.task_identity import TaskIdentity

from simulations.engine.channel import Channel
from simulations.engine.sharing import SharedRecord, receive, share

_CLIENT_APP_RAISED_EXCEPTION = 2  # flwr.common.constant.ErrorCode
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


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


def serve(app: str, together: str, file: int) -> None:
    """Answer for the ClientApp ``module:attribute``, in one torch thread, until the socket ``file`` is closed.

    ``together``: what trains the sites of a batch (:func:`client.batch.together`), as ``module:attribute``.
    """
    torch.set_num_threads(1)
    _keep_freed_memory()
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1  # as in the main process
    logging.getLogger("client").addHandler(logging.NullHandler())  # a fault's traceback is in the reply
    channel = Channel(socket.socket(fileno=file))
    with suppress(EOFError, ConnectionError):
        while True:
            _serve_task(app, together, channel)


def _keep_freed_memory() -> None:
    """Have malloc use freed memory again, in place of asking the kernel for zeroed pages for every large array.

    It takes a third off what copying and packing an update costs. Only glibc knows the call; elsewhere nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _serve_task(app: str, together: str, channel: Channel) -> None:
    num_messages, _ = channel.receive()
    messages, contexts = zip(*(_receive(channel) for _ in range(num_messages)), strict=True)
    answers = load(together)(messages, contexts) if num_messages > 1 else [lambda *given: load(app)(*given)]
    for message, context, reply_to in zip(messages, contexts, answers, strict=True):
        reply, shared = packed(answer(reply_to, message, context), keep=False)
        channel.send(reply, [record.file.fileno() for record in shared])
        message.content.clear()  # else its arrays live until the collector comes: RecordDict.array_records is a cycle
        sys.stdout.flush()  # what a user's own trainer prints


def _receive(channel: Channel) -> tuple[Message, Context]:
    (values, config), files = channel.receive()
    message = unpacked(values, files)
    return message, Context(1, message.metadata.dst_node_id, config, RecordDict(), {})


def load(name: str) -> Any:
    """What ``module:attribute`` names: a ClientApp, or what trains batches for it."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)

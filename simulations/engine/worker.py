"""A worker process: takes one task after the other, calls the ClientApp for its messages, sends the replies back."""

import ctypes
import importlib
import logging
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch
from flwr.app import Context, Error, Message, RecordDict
from flwr.app.message import make_message
from flwr.supercore.task_identity import TaskIdentity

from medfed.payload import packing_into
from simulations.engine.channel import Channel
from simulations.engine.lending import Lender
from simulations.engine.sharing import receive

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
        lender = Lender()
        while True:
            _serve_task(app, together, channel, lender)


def _keep_freed_memory() -> None:
    """Have malloc use freed memory again, in place of asking the kernel for zeroed pages for every large array.

    It takes a third off what copying and packing an update costs. Only glibc knows the call; elsewhere nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _serve_task(app: str, together: str, channel: Channel, lender: Lender) -> None:
    messages, contexts = zip(*_received(channel, lender), strict=True)
    answers = load(together)(messages, contexts) if len(messages) > 1 else [lambda *given: load(app)(*given)]
    for message, context, reply_to in zip(messages, contexts, answers, strict=True):
        with packing_into(lender.allocate):
            reply = answer(reply_to, message, context)
        _send(channel, reply, lender)
        del reply  # its memory is not ours any more
        message.content.clear()  # else its arrays live until the collector comes: RecordDict.array_records is a cycle
        sys.stdout.flush()  # what a user's own trainer prints


def _received(channel: Channel, lender: Lender) -> Iterator[tuple[Message, Context]]:
    """The messages of the next task; each says how many follow it, and what the main process reads no more."""
    more = 1
    while more:
        (more, returned, metadata, parts, config), files = channel.receive()
        lender.take_back(returned)
        message = make_message(metadata, receive(parts, files))
        yield message, Context(1, metadata.dst_node_id, config, RecordDict(), {})


def _send(channel: Channel, reply: Message, lender: Lender) -> None:
    if reply.has_error():
        channel.send((reply.metadata, None, (reply.error.code, reply.error.reason), ()))
        return
    parts, files, dropped = lender.lend(reply.content)
    channel.send((reply.metadata, parts, None, dropped), files)
    for file in files:
        os.close(file)


def load(name: str) -> Any:
    """What ``module:attribute`` names: a ClientApp, or what trains batches for it."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)

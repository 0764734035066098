"""Batches of sites on the grids of one machine: as :mod:`client.batch` trains them, and each reply says so.

A reply without the mark is of a site that was trained by itself: its batch could not be trained, or its worker died.
"""

from collections.abc import Sequence
from functools import partial

from flwr.app import Context, Message

from client.app import app
from client.batch import Answer
from client.batch import together as train_together
from medfed import messages


def together(given: Sequence[Message], contexts: Sequence[Context]) -> list[Answer]:
    """As :func:`client.batch.together`, which leaves a batch that it cannot train to the app itself."""
    return [answer if answer is app else partial(_marked, answer) for answer in train_together(given, contexts)]


def _marked(answer: Answer, message: Message, context: Context) -> Message:
    reply = answer(message, context)
    messages.mark_stacked(reply.content)
    return reply

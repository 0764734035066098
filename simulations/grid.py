"""A Flower grid inside this process: it calls the ClientApp directly. No Ray, no SuperLink, no polling.

Messages wait in a queue until their replies are asked for; each pull runs one of them, so that no more than
one reply is made ahead of the reader and a stop request is honoured between two sites.
"""

import itertools
import traceback
from collections.abc import Iterable, Mapping

from flwr.app import Context, Error, Message, RecordDict, UserConfig
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

from medfed import events

_CLIENT_APP_RAISED_EXCEPTION = 2  # flwr.common.constant.ErrorCode
_SERVER_NODE = 1
_FIRST_SITE_NODE = 2


class InProcessGrid(Grid):
    """Nodes are contexts; ``node_configs`` gives each site's own configuration by site name."""

    def __init__(self, client_app: ClientApp, node_configs: Mapping[str, UserConfig]) -> None:
        # Flower stamps every message with the identity of the task in this process.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, _SERVER_NODE
        self._app = client_app
        self._sites = {_FIRST_SITE_NODE + i: site for i, site in enumerate(sorted(node_configs))}
        self._contexts = {
            node: Context(1, node, dict(node_configs[site]), RecordDict(), {}) for node, site in self._sites.items()
        }
        self._queue: dict[str, Message] = {}
        self._numbers = itertools.count(1)

    def get_node_ids(self) -> Iterable[int]:
        """Every site, always."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Queue messages; the ids are counted up."""
        pushed = []
        for message in messages:
            message_id = str(next(self._numbers))
            message.metadata.__dict__["_message_id"] = message_id
            self._queue[message_id] = message
            pushed.append(message_id)
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Run the first queued message among ``message_ids`` and return its reply."""
        for message_id in message_ids:
            if message_id in self._queue:
                return [self._run(self._queue.pop(message_id))]
        return []

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Run every message, one after the other; ``timeout`` cannot interrupt a site and is not used."""
        return [self._run(self._queue.pop(message_id)) for message_id in self.push_messages(messages)]

    def _run(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        events.emit(events.SiteStarted(self._sites[node], message.metadata.message_type))
        try:
            return self._app(message, self._contexts[node])
        except Exception as fault:
            # Everything runs on one machine here, so the whole traceback may be shown.
            reason = f"{fault}\n{''.join(traceback.format_exception(fault))}"
            return Message(Error(_CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=message)

    @property
    def run(self) -> None:  # type: ignore[override]
        """There is no Flower run here."""

    def set_run(self, run: object) -> None:
        """There is no Flower run here."""

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message, as :class:`flwr.app.Message` makes it."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

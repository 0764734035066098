"""Several sites of one round trained at once (``engine.vectorise``), each of which still answers its own message.

Only a grid inside one machine comes here, since only there do the images of several sites lie in one place. Where the
batch cannot be trained (a site's images cannot be read, memory runs out), its sites are trained one by one, so that a
fault is told of the site that has it, and of no other. The reply of a site that was trained in a batch is marked.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from flwr.app import Context, Message

from client.app import app, train_reply
from client.home import site_state
from client.local import full_weights, warm_model
from client.refusals import require_allowed
from client.site import site_data, site_device
from client.trained import Trained
from medfed import messages
from medfed.determinism import deterministic
from medfed.devices import computing_on
from medfed.training.batched import SiteJob, train_batched

log = logging.getLogger(__name__)

Answer = Callable[[Message, Context], Message]


def together(given: Sequence[Message], contexts: Sequence[Context]) -> list[Answer]:
    """Train the sites of these train messages; returns what answers each, to be called with the same message.

    Args:
        given: messages of one round, of sites that differ.
        contexts: of the sites' nodes, one per message.
    """
    try:
        return [partial(_marked_reply, trained=trained) for trained in _trained(given, contexts)]
    except Exception:  # whatever it is, the site that causes it tells of it when it is its turn
        log.warning("a batch of %d sites is trained one by one:", len(given), exc_info=True)
        return [app] * len(given)


def _marked_reply(message: Message, context: Context, trained: Trained) -> Message:
    reply = train_reply(message, context, trained)
    messages.mark_stacked(reply.content)
    return reply


def _trained(given: Sequence[Message], contexts: Sequence[Context]) -> list[Trained]:
    started = time.perf_counter()
    requests = [messages.read_request(message.content) for message in given]
    scenario, round_number = requests[0].scenario, requests[0].round
    with deterministic(scenario.engine.deterministic), computing_on(site_device(contexts[0])):
        jobs = [_job(request, context) for request, context in zip(requests, contexts, strict=True)]
        outcomes = train_batched(warm_model(scenario), jobs, scenario, round_number)
    share = (time.perf_counter() - started) / len(jobs)
    return [Trained(outcome, share) for outcome in outcomes]


def _job(request: messages.Request, context: Context) -> SiteJob:
    data = site_data(context, request.scenario)
    require_allowed(request, context, data)
    kept = site_state(context, request.scenario, request.run).load(request.round - 1)
    return SiteJob(data.site, data.train, full_weights(request, kept))

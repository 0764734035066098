"""The Flower ClientApp: the same object in a simulation and at a hospital.

A fault is written to the site's own log in full; what leaves the site names the site, a code and a remedy,
since the text of an exception may hold file or patient names.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from client import secure
from client.adversary import claimed, forger, refuse_outside_simulation, with_poison
from client.faults import reported
from client.home import site_state
from client.local import local_round, own_weights
from client.private import num_patients, private_trainer, protected
from client.refusals import require_allowed
from client.released import released
from client.scored import scored
from client.site import site_data, site_device
from client.trained import Trained
from medfed import messages
from medfed.config import Scenario
from medfed.determinism import deterministic
from medfed.devices import computing_on
from medfed.errors import RefusedError
from medfed.types import Update
from privacy.secure_aggregation import wire

log = logging.getLogger(__name__)
app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Say who this site is and how many images it holds."""
    scenario = messages.read_scenario(message.content)
    with reported(context, scenario):
        refuse_outside_simulation(context, scenario)
        data = site_data(context, scenario)
        num_train = claimed(scenario, data.site, len(data.train))
        counts = tuple(data.train.class_counts(len(scenario.task.classes)))
        patients = min(num_train, num_patients(scenario, data.train))
        held = num_train, len(data.val), len(data.test)
        info = messages.SiteInfo(data.site, *held, counts, patients, data.split_here)
    return Message(messages.info_reply(info), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train from the global weights and reply with what changed."""
    return train_reply(message, context)


def train_reply(message: Message, context: Context, trained: Trained | None = None) -> Message:
    """The reply to a train message; ``trained``: what came of the site in a batch of sites (:mod:`client.batch`)."""
    request = messages.read_request(message.content)
    with reported(context, request.scenario), _surroundings(request.scenario, context):
        secure.require_plain(context, request.scenario)
        content = messages.update_reply(*_train(request, context, trained))
    return Message(content, reply_to=message)


@app.train(wire.MASKED)
def train_masked(message: Message, context: Context) -> Message:
    """Train from the global weights and reply with what changed, masked (:mod:`client.secure`)."""
    request = messages.read_request(message.content)
    with reported(context, request.scenario), _surroundings(request.scenario, context):
        content = secure.masked(message.content, request, context, partial(_train, request, context, None))
    return Message(content, reply_to=message)


@app.query(wire.KEYS)
def secure_keys(message: Message, context: Context) -> Message:
    """The first phase of secure aggregation."""
    return _in_phase(secure.keys, message, context)


@app.query(wire.SHARES)
def secure_shares(message: Message, context: Context) -> Message:
    """The second phase of secure aggregation."""
    return _in_phase(secure.shares, message, context)


@app.query(wire.OPEN)
def secure_open(message: Message, context: Context) -> Message:
    """The last phase of secure aggregation."""
    return _in_phase(secure.opened, message, context)


def _in_phase(
    phase: Callable[[RecordDict, Context, Scenario], RecordDict], message: Message, context: Context
) -> Message:
    scenario = messages.read_scenario(message.content)
    with reported(context, scenario):
        refuse_outside_simulation(context, scenario)
        content = phase(message.content, context, scenario)
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the global weights on this site's validation or test images; scores of training images never leave."""
    request = messages.read_request(message.content)
    scenario = request.scenario
    with reported(context, scenario), _surroundings(scenario, context):
        if request.split == "train":
            raise RefusedError(
                'evaluation: expected split "val" or "test", got "train"; no score of training images leaves'
            )
        data = site_data(context, scenario)
        kept = site_state(context, scenario, request.run).load(request.round)
        evaluation = scored(own_weights(request, kept), data.split(request.split), scenario, request.intervals)
    return Message(messages.evaluation_reply(evaluation), reply_to=message)


@contextmanager
def _surroundings(scenario: Scenario, context: Context) -> Iterator[None]:
    """One torch thread where the scenario asks for it, and this site's device."""
    with deterministic(scenario.engine.deterministic), computing_on(site_device(context)):
        yield


def _train(request: messages.Request, context: Context, trained: Trained | None) -> tuple[Update, float]:
    refuse_outside_simulation(context, request.scenario)
    data = with_poison(site_data(context, request.scenario), request.scenario)
    require_allowed(request, context, data)
    started = time.perf_counter()
    state = site_state(context, request.scenario, request.run)
    forge = forger(request, context)
    trainer = None if forge else private_trainer(request, context)
    assert trained is None or trainer is None, "private training is not done in batches of sites"

    def work() -> tuple[Update, float]:
        finish = forge or partial(protected, request=request, context=context)
        update, kept = local_round(request, data, state.load(request.round - 1), trained or trainer, finish)
        state.save(request.round, kept)
        return update, (trained.seconds if trained else 0.0) + time.perf_counter() - started

    return work() if forge else released(request, context, data, work)

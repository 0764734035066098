"""The Flower ClientApp: the same object in a simulation and at a hospital.

A fault is written to the site's own log in full; what leaves the site names the site, a code and a remedy,
since the text of an exception may hold file or patient names.
"""

import logging
import time
from functools import lru_cache

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from torch import nn

from client.faults import reported
from client.site import site_data
from medfed import messages
from medfed.config import Scenario
from medfed.determinism import deterministic
from medfed.params import difference, get_weights, set_weights
from medfed.training.evaluation import evaluate as evaluate_model
from medfed.types import Update

log = logging.getLogger(__name__)
app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Say who this site is and how many images it holds."""
    scenario = messages.read_scenario(message.content)
    with reported(context, scenario):
        data = site_data(context, scenario)
        counts = tuple(data.train.class_counts(len(scenario.task.classes)))
        info = messages.SiteInfo(data.site, len(data.train), len(data.val), len(data.test), counts)
    return Message(messages.info_reply(info), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train from the global weights and reply with what changed."""
    request = messages.read_request(message.content)
    with reported(context, request.scenario), deterministic(request.scenario.engine.deterministic):
        content = _train(request, context)
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the global weights on this site's validation or test images."""
    request = messages.read_request(message.content)
    scenario = request.scenario
    with reported(context, scenario), deterministic(scenario.engine.deterministic):
        data = site_data(context, scenario)
        model = _model(scenario)
        set_weights(model, request.weights)
        evaluation = evaluate_model(model, data.split(request.split), scenario, ("bootstrap",), request.intervals)
    return Message(messages.evaluation_reply(evaluation), reply_to=message)


def _train(request: messages.Request, context: Context) -> RecordDict:
    scenario = request.scenario
    data = site_data(context, scenario)
    started = time.perf_counter()
    model = _model(scenario)
    set_weights(model, request.weights)
    result = scenario.training.trainer(model, data.train, scenario, data.site, request.round)
    tensors = difference(get_weights(model), request.weights)
    update = Update(data.site, tensors, result.num_examples, result.num_steps, {"loss": result.loss})
    return messages.update_reply(update, time.perf_counter() - started)


@lru_cache(maxsize=2)
def _model(scenario: Scenario) -> nn.Module:
    """The architecture, kept warm between messages; its weights are overwritten by every request."""
    module: nn.Module = scenario.model(scenario.model_task)
    return module

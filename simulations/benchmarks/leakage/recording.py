"""Messages of single rounds, made by the client's own code and kept as a run keeps them.

The server's part of a round is left out: weights go to a site, its change is compressed, decompressed and written down,
which is all that happens to a message before it is recorded. A test holds it against a whole run, bit for bit.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from flwr.app import Context, RecordDict

from client.local import local_round
from client.private import private_trainer, protected
from medfed.config import Scenario
from medfed.messages import Request
from medfed.models.initial import initial_model, personal_entries
from medfed.run_folder import RunFolder
from medfed.types import SiteData, Weights


def record(folder: Path, scenario: Scenario, weights: Weights, sites: Sequence[SiteData], number: int) -> None:
    """Write what each of ``sites`` sends in round ``number``, and the weights that it started from.

    Args:
        folder: of the run.
        scenario: with the local training, mechanism and compression of the round.
        weights: the global state dict.
        sites: who trains, on what.
        number: of the round, from 1.
    """
    run = RunFolder(folder)
    personal = personal_entries(scenario, initial_model(scenario))
    shared = {name: value for name, value in weights.items() if name not in personal}
    run.record_global(number, shared)
    request = Request(scenario, "leakage", number, shared)
    for data in sites:
        context = Context(1, 2, {"site": data.site, "simulated": True}, RecordDict(), {})
        finish = partial(protected, request=request, context=context)
        update, _ = local_round(request, data, {}, private_trainer(request, context), finish)
        sent = scenario.federation.compression.decompress(update.tensors, shared)
        run.record_update(number, replace(update, tensors=sent))

"""Secure aggregation at the site (:mod:`privacy.secure_aggregation`): its four phases over messages.

What a site must remember between two phases lies in one file of its own, readable by its owner alone, and is gone after
the last phase. A new session takes the place of an open one. Where updates have no noise, a site also remembers of
which round and of whom it helped to open the sum, and helps with none over other sites: two would differ by single
updates. Where they have noise, the ledger counts (:mod:`client.released`). Keys, seeds and shares are of the
operating system's generator, in a simulation too: the sum is exact, so that no number depends on them.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydantic
from flwr.app import Context, RecordDict

from client.home import site_home
from client.site import is_simulated, site_name
from medfed.config import Scenario
from medfed.errors import RefusedError, SiteError
from medfed.exchanged import RELEASES
from medfed.files import file_name, replacing, write_text_atomic
from medfed.messages import Request
from medfed.params import flatten
from medfed.types import Update
from privacy.mechanisms.contract import SharedMechanism
from privacy.secure_aggregation import site, wire
from privacy.secure_aggregation.quantisation import encode, steps_of
from privacy.secure_aggregation.site import Advertised, Masked, Shared

_ROUND, _OPENED = ".round", ".opened"
_STATE = pydantic.TypeAdapter[Any](Advertised | Shared | Masked)


def require_plain(context: Context, scenario: Scenario) -> None:
    """Refuse to send an update as it is where scenario or site ask for secure aggregation.

    Raises:
        SiteError: says who asks for it.
    """
    if scenario.federation.secure_aggregation.is_on:
        raise SiteError("this scenario aggregates securely, but the server asked for an update as it is")
    if context.node_config.get("secure-aggregation") is True:
        raise SiteError("--node-config secure-aggregation=true: this site sends no update as it is")


def keys(content: RecordDict, context: Context, scenario: Scenario) -> RecordDict:
    """Answer the first phase."""
    asked = wire.take(content, wire.AskKeys)
    state, public = site.advertise(asked.session, site_name(context, scenario), os.urandom)
    _save(_file(context, scenario, asked.run), state)
    return wire.put(public)


def shares(content: RecordDict, context: Context, scenario: Scenario) -> RecordDict:
    """Answer the second phase."""
    asked = wire.take(content, wire.AskShares)
    file = _file(context, scenario, asked.run)
    state, letters = site.share(_load(file, Advertised), asked.invitation, os.urandom)
    _save(file, state)
    return wire.put(wire.Letters(letters))


def masked(
    content: RecordDict, request: Request, context: Context, work: Callable[[], tuple[Update, float]]
) -> RecordDict:
    """Answer the third phase: do the round's ``work`` and mask its update."""
    asked, federation = wire.take(content, wire.AskMasked), request.scenario.federation
    file = _file(context, request.scenario, request.run)
    state = _load(file, Shared)
    update, seconds = work()
    weight = federation.strategy.weight(update)
    if weight != int(weight):
        raise SiteError(f"secure aggregation: expected a weight that is a whole number, got {weight}")
    settings, mechanism = federation.secure_aggregation, request.scenario.privacy.mechanism
    step = mechanism.step if isinstance(mechanism, SharedMechanism) else None
    values = flatten({name: update.tensors[name] for name in request.weights}).numpy()
    vector = encode(values, int(weight), steps_of(settings.bits, settings.clip, asked.levels, step))
    next_state, total = site.mask(state, asked.letters, vector)
    _save(file, next_state)  # before it leaves: a second vector under these masks would show their difference
    if _is_bare(context, request.scenario):
        write_text_atomic(file.with_suffix(_ROUND), f"{request.round}\n")
    return wire.put_vector(total, seconds, update.metrics.get(RELEASES))


def opened(content: RecordDict, context: Context, scenario: Scenario) -> RecordDict:
    """Answer the last phase, once."""
    asked = wire.take(content, wire.AskShare)
    file = _file(context, scenario, asked.run)
    state = _load(file, Masked)
    found = site.open_masks(state, asked.session, frozenset(asked.delivered))
    if _is_bare(context, scenario):
        _open_once(file, {state.site, *asked.delivered})
    file.unlink()
    return wire.put(wire.Letters(found))


def _is_bare(context: Context, scenario: Scenario) -> bool:
    """Whether nothing but secure aggregation hides the update; a simulation's sites hide nothing from each other."""
    return not scenario.privacy.is_on and not is_simulated(context)


def _open_once(file: Path, delivered: set[str]) -> None:
    """Write down that the sum over ``delivered`` is opened, before it can be.

    More than half of those who could open a site's masks opened the first sum, so that their refusal is enough.

    Raises:
        RefusedError: a sum of this round, or of a later one, was opened before, over other sites.
    """
    number, place = int(file.with_suffix(_ROUND).read_text(encoding="utf-8")), file.with_suffix(_OPENED)
    if place.exists():
        last, *sites = json.loads(place.read_text(encoding="utf-8"))
        if number < last or (number == last and set(sites) != delivered):
            raise RefusedError(
                f"round {number}: a sum of round {last} over {len(sites)} sites was opened already; one over others "
                "would show single updates by the difference, and they have no noise; start a new run"
            )
    write_text_atomic(place, json.dumps([number, *sorted(delivered)]))


def _file(context: Context, scenario: Scenario, run: str) -> Path:
    home = site_home(context, scenario)
    if not home:
        raise SiteError('secure aggregation keeps keys between messages: expected --node-config home="FOLDER"')
    return Path(home) / "secure" / f"{file_name(run)}.json"


def _save(file: Path, state: Advertised | Shared | Masked) -> None:
    with replacing(file) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(_STATE.dump_json(state))
            out.flush()
            os.fsync(out.fileno())


def _load(file: Path, kind: type) -> Any:
    """The state of the phase before.

    Raises:
        SiteError: this site is in another phase.
    """
    state = _STATE.validate_json(file.read_bytes()) if file.exists() else None
    if not isinstance(state, kind):
        found = "none" if state is None else type(state).__name__
        raise SiteError(f"secure aggregation: expected to be {kind.__name__} before this phase, am {found}")
    return state

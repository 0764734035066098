"""One round: send the weights, check and aggregate every update in site order, apply the strategy."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from flwr.app import ArrayRecord, RecordDict

from medfed import events, messages
from medfed.errors import DivergedError, UpdateError
from medfed.exchanged import RELEASES
from medfed.memory import return_freed
from medfed.messages import Delivery
from medfed.params import group, prefixed
from medfed.results import Failure, RoundResult, SiteRound
from medfed.rng import numpy_generator
from medfed.training.local import steps_per_round
from medfed.types import Weights
from privacy.mechanisms.contract import ServerMechanism, noised_at_site
from privacy.noise import seeded_normal, system_normal
from server.checks import check_update
from server.collector import Collector
from server.exchange import Fault, LocalGrid, MessageType, Reply, batches_of, exchange, window_size
from server.private import PrivateSum, asked_per_round, stated_weights
from server.quorum import naming_failures, require_quorum
from server.round_state import AGGREGATOR, STRATEGY, Federation, OpenRound, Outcome
from server.secure import run_secure_stage
from server.spool import Spool


def run_round(federation: Federation, chosen: list[str], number: int, weights: Weights, state: Weights) -> Outcome:
    """Train the ``chosen`` sites from ``weights``, the shared entries of the model.

    Updates that a durable spool holds from before a crash are taken from there; their sites are not asked again.

    Raises:
        QuorumError: fewer than the quorum delivered a valid update, or fewer than the aggregator needs.
        StopRequested: the user asked for the end.
    """
    scenario, roster = federation.scenario, federation.roster
    return_freed()  # the model before the last one
    if number in scenario.recorded_rounds:
        federation.folder.record_global(number, weights)
    spool = Spool(federation.folder.spool(number), federation.spools_durably)
    draws = numpy_generator(scenario.seed, number, "round")
    absent = [roster.absence(site) for site in chosen if site not in roster.nodes]
    current = OpenRound(number, weights, state, spool, draws, failed=absent)
    run_stage = run_secure_stage if scenario.federation.secure_aggregation.is_on else _run_stage
    for stage in scenario.federation.strategy.stages(chosen, draws):
        run_stage(federation, current, sorted(site for site in stage if site in roster.nodes))
        current.moved |= any(site not in roster.nodes for site in stage)
    require_quorum(scenario.federation.quorum, number, len(current.sites), len(chosen), current.failed)
    _require_finite(current)
    return Outcome(current.weights, current.state, _result(current), current.unstacked)


def _run_stage(federation: Federation, current: OpenRound, sites: list[str]) -> None:
    """Train ``sites`` from the current weights, and move these on if anyone delivered."""
    strategy = federation.scenario.federation.strategy
    state = group(current.state, STRATEGY)
    if current.moved:
        current.spool.forget(sites)
    private = _private(federation, current)
    collector = Collector(federation.scenario, current.weights, current.spool, private)
    batches = batches_of(sites, _together(federation))  # one is asked as a whole: its sites' last bits depend on it
    whole = [batch for batch in batches if all(current.spool.recall(site) is not None for site in batch)]
    spooled = {site for batch in whole for site in batch}
    packed = messages.pack_weights(current.weights, strategy.broadcast(state))
    current.bytes_down += messages.num_bytes(packed) * len(sites)
    current.moved |= len(spooled) < len(sites)
    missing = [site for site in sites if site not in spooled]
    if noised_at_site(federation.scenario.privacy.mechanism):
        federation.asked_log.ask(current.number, missing, federation.roster.infos)
    replies = _ask(federation, current, missing, packed)
    for site in sites:
        reply = None if site in spooled else next(replies)[1]
        fault = reply if isinstance(reply, Fault) else _use(federation, current, collector, site, reply)
        if fault is not None:
            current.fail(fault)
        federation.folder.heed_stop()
    current.unstacked |= any(site in current.alone for batch in batches if len(batch) > 1 for site in batch)
    if len(collector):
        if private is not None and not federation.simulated:  # noise that is never drawn again, on what leaves next
            federation.asked_log.ask(current.number, sites, federation.roster.infos)
        num_sites = len(federation.scenario.training_sites)
        with naming_failures(current.number, current.failed):
            aggregate, kept = collector.aggregate(num_sites, group(current.state, AGGREGATOR), current.draws)
        current.weights, state = strategy(current.weights, aggregate, state)
        current.state = prefixed(STRATEGY, state) | prefixed(AGGREGATOR, kept)


def _private(federation: Federation, current: OpenRound) -> PrivateSum | None:
    """Where updates are summed if the server noises them; the mechanism's state stands in the place of the rule's."""
    scenario = federation.scenario
    mechanism = scenario.privacy.mechanism
    if not isinstance(mechanism, ServerMechanism):
        return None
    seeded = seeded_normal(scenario.seed, current.number, "privacy")
    normal = seeded if federation.simulated else system_normal
    weights = stated_weights(scenario, federation.roster.infos)
    return PrivateSum(mechanism, weights, asked_per_round(scenario), group(current.state, AGGREGATOR), normal)


def _ask(
    federation: Federation, current: OpenRound, sites: list[str], packed: ArrayRecord
) -> Iterator[tuple[str, Reply]]:
    scenario, roster = federation.scenario, federation.roster
    text = scenario.travelling_text()
    return exchange(
        federation.grid,
        {site: roster.nodes[site] for site in sites},
        MessageType.TRAIN,
        lambda _: messages.request(text, federation.run, current.number, packed),
        round_number=current.number,
        deadline_seconds=scenario.federation.deadline_seconds,
        cost={site: steps_per_round(scenario.training, roster.infos[site].num_train) for site in sites},
        window=window_size(scenario, current.weights),
        together=_together(federation),
        arrived=partial(_keep, federation, current) if current.spool.durable else None,
    )


def _together(federation: Federation) -> int:
    """How many sites are trained as one batch; where they are not on this machine, each trains by itself."""
    return max(1, federation.scenario.engine.vectorise) if isinstance(federation.grid, LocalGrid) else 1


def _keep(federation: Federation, current: OpenRound, site: str, content: RecordDict) -> None:
    """Spool an update as soon as it arrives: a server that dies while it waits for its turn must not lose it."""
    try:
        delivery = _read(federation, current, site, content)
        num_train = federation.roster.infos[site].num_train
        check_update(
            delivery.update, current.weights, num_train, steps_per_round(federation.scenario.training, num_train)
        )
    except UpdateError:  # told when its turn comes
        return
    current.spool.add(delivery)


def _read(federation: Federation, current: OpenRound, site: str, content: RecordDict) -> Delivery:
    scenario = federation.scenario
    delivery = messages.read_update(site, content, with_loss=not noised_at_site(scenario.privacy.mechanism))
    compression = scenario.federation.compression
    tensors = compression.decompress(delivery.update.tensors, current.weights)
    return replace(delivery, update=replace(delivery.update, tensors=tensors))


def _use(
    federation: Federation, current: OpenRound, collector: Collector, site: str, content: RecordDict | None
) -> Fault | None:
    """Take the update of ``site``, from the spool if it lies there, else from its reply; or say why it is refused."""
    try:
        spooled = current.spool.recall(site)
        if spooled is None:
            assert content is not None, "a site that is not asked has its update in the spool"
            delivery = _read(federation, current, site, content)
        else:
            delivery = spooled
        current.bytes_up += delivery.num_bytes
        _take(federation, current, collector, delivery, from_spool=spooled is not None)
    except UpdateError as error:
        cause = str(error).removeprefix(f"site {site}: ")
        return Fault(Failure(site=site, code="update", cause=cause, remedy="its update was not used"))
    return None


def _take(
    federation: Federation, current: OpenRound, collector: Collector, delivery: Delivery, from_spool: bool
) -> None:
    update, site = delivery.update, delivery.update.site
    collector.add(delivery, federation.roster.infos[site].num_train, from_spool)
    if not delivery.stacked:
        current.alone.add(site)
    if current.number in federation.scenario.recorded_rounds:
        federation.folder.record_update(current.number, update)
    if RELEASES in update.metrics:
        federation.asked_log.answered(current.number, site, update.metrics[RELEASES])
    loss = update.metrics.get("loss")
    current.sites[site] = SiteRound(
        num_examples=update.num_examples, num_steps=update.num_steps, loss=loss, seconds=delivery.seconds
    )
    events.emit(events.SiteDone(current.number, site, loss))


def _require_finite(current: OpenRound) -> None:
    """Each update was finite, but their sum, or its square, need not be.

    Raises:
        DivergedError: the next global model, or what the strategy remembers, would not be.
    """
    for what, tensors in (("the next global model", current.weights), ("the strategy's state", current.state)):
        bad = [n for n, v in tensors.items() if v.is_floating_point() and not bool(v.isfinite().all())]
        if bad:
            raise DivergedError(
                f'round {current.number}: tensor "{bad[0]}" of {what} is not finite, though every update was: one is '
                "far too large; set federation.aggregator to norm_clipped_mean or a robust rule"
            )


def _result(current: OpenRound) -> RoundResult:
    return RoundResult(
        round=current.number,
        seconds=0.0,
        bytes_up=current.bytes_up,
        bytes_down=current.bytes_down,
        sites=dict(sorted(current.sites.items())),
        failed=current.failed,
        cut_values=current.num_cut,
    )

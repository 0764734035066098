"""The same apps through Flower's simulation runtime on Ray: sites train on the machines of a cluster.

What a site is told there: its number, which counts through ``federation.sites`` (:mod:`client.site`); ``MEDFED_DATA``
and ``MEDFED_HOME`` say where data and the run's folder lie, the same on every machine.

Flower's ``run_simulation`` gives the ServerApp no run config and no context variables, keeps some of its exceptions to
itself, and waits for a ServerApp that nobody can reach after Ctrl-C: all four are mended here.
"""

import contextvars
import importlib.util
import logging
import os
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Context, RecordDict, UserConfig
from flwr.serverapp import Grid, ServerApp

from medfed.config import Scenario
from medfed.data.location import resolve_path
from medfed.errors import MedfedError, QuorumError
from simulations.engine.ray_grid import RayGrid
from simulations.engine.ray_site import RaySite, missing_here

_CONNECT_SECONDS = 10.0
_CLIENT_RESOURCES = {
    "num_cpus": 1,
    "num_gpus": 0.0,
    "max_restarts": -1,  # without it, every round after an actor's death loses most of its sites
}


class EngineError(MedfedError):
    """Ray is not there, or cannot be reached."""


class EngineLostError(EngineError):
    """Ray ended before the run did; what was finished is in the folder."""

    exit_code = QuorumError.exit_code


@dataclass(frozen=True)
class RayEngine:
    """Ray on this machine, or the cluster whose head listens at ``address`` (HOST:PORT)."""

    address: str = ""

    def check(self) -> None:
        """See, before anything is written, that Ray is installed and the cluster answers.

        Raises:
            EngineError: it is not, or does not.
        """
        if importlib.util.find_spec("ray") is None:
            raise EngineError("engine ray: Ray is not installed; run: pip install 'medfed[ray]'")
        import ray

        if ray.is_initialized():
            raise EngineError("engine ray: this process uses Ray already; call ray.shutdown() before")
        if self.address:
            _knock(self.address)

    def run(
        self, server_app: ServerApp, scenario: Scenario, run_config: UserConfig, folder: Path, workers: int
    ) -> None:
        """Run ``server_app`` to its end; its exceptions come out as they are.

        Args:
            server_app: ours.
            scenario: what ``run_config`` holds.
            run_config: what the context of the ServerApp will hold.
            folder: the run's; sites keep their states in it.
            workers: actors on this machine, one CPU each; a cluster has one per CPU.

        Raises:
            EngineError: Ray ended first, or a machine of the cluster lacks what the run needs.
        """
        from flwr.simulation import run_simulation

        places = {"MEDFED_DATA": str(resolve_path(scenario.data.path)), "MEDFED_HOME": str(folder.absolute() / "sites")}
        places["MEDFED_SIMULATED"] = "1"
        if scenario.privacy.ledger:
            places["MEDFED_LEDGER"] = scenario.privacy.ledger
        server = _Server(server_app, run_config)
        with _ray(self.address, workers, places) as num_actors, _quiet("flwr"):
            if self.address:
                _check_machines([places["MEDFED_DATA"], str(folder.absolute())])
            server.num_actors = num_actors
            try:
                run_simulation(
                    server_app=server.app(),
                    client_app=RaySite(scenario.federation.deadline_seconds),  # type: ignore[arg-type]  # is called alike
                    num_supernodes=len(scenario.federation.sites),
                    backend_config={"client_resources": dict(_CLIENT_RESOURCES)},
                )
            except Exception as fault:
                if server.fault is None:
                    raise EngineLostError(f"engine ray: ended before the run did: {_root(fault)}") from fault
            finally:
                server.end()
        if server.fault is not None:
            raise server.fault


class _Server:
    """The ServerApp as Flower's thread calls it, with what Flower leaves out; ``fault`` is what it raised."""

    def __init__(self, app: ServerApp, run_config: UserConfig) -> None:
        self.num_actors = 1
        self.fault: BaseException | None = None
        self._app, self._config = app, run_config
        self._surroundings = contextvars.copy_context()  # the listener of events
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def app(self) -> ServerApp:
        """What to hand to Flower."""
        wrapped = ServerApp()
        wrapped.main()(self._main)
        return wrapped

    def _main(self, grid: Grid, context: Context) -> None:
        self._thread = threading.current_thread()
        filled = Context(context.run_id, context.node_id, {}, RecordDict(), self._config)
        try:
            self._surroundings.run(self._app, RayGrid(grid, self.num_actors, self._ended), filled)
        except BaseException as fault:  # whatever it is, it comes out of the main thread
            self.fault = fault

    def end(self) -> None:
        """Let a ServerApp that still waits for replies find out that there will be none, and wait for its end."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()


def _knock(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise EngineError(f'engine ray: --address expected HOST:PORT, such as head.example:6379; got "{address}"')
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        remedy = "start the cluster with `ray start --head --port PORT`"
        raise EngineError(f"engine ray: nobody answers at {address} ({error}); {remedy}") from error


@contextmanager
def _ray(address: str, workers: int, variables: dict[str, str]) -> Iterator[int]:
    """Ray for the length of the block; yields how many actors it has room for.

    Flower would start it too, but with the working directory first on the path of every actor, where a folder named
    ``server`` or ``client`` would be taken for ours: a working directory of our own, which is empty, keeps it out.
    """
    import ray
    from flwr.simulation.ray_transport.ray_actor import pool_size_from_resources

    where = {"address": address} if address else {"address": "local", "num_cpus": workers, "include_dashboard": False}
    with tempfile.TemporaryDirectory() as empty:
        surroundings = {"env_vars": variables | {"PYTHONPATH": _path()}, "working_dir": empty}
        try:
            try:
                with warnings.catch_warnings(action="ignore", category=FutureWarning):  # Ray's, of a later version
                    ray.init(runtime_env=surroundings, log_to_driver=False, logging_level=logging.CRITICAL, **where)
                num_actors = pool_size_from_resources(_CLIENT_RESOURCES)
            except Exception as fault:  # many kinds: another version of Ray or Python, no memory, no free CPU
                raise EngineError(f"engine ray: Ray does not start: {_root(fault)}") from fault
            yield num_actors
        finally:
            ray.shutdown()


def _path() -> str:
    """What this process imports from, without what every Python of this version finds by itself."""
    own = (sys.prefix, sys.base_prefix)
    entries = [os.path.abspath(entry) for entry in sys.path]
    return os.pathsep.join(dict.fromkeys(entry for entry in entries if not entry.startswith(own)))


def _check_machines(paths: list[str]) -> None:
    """See that every machine has our package, the data and the run's folder.

    A strategy's state at a site lies in that folder: on a machine that does not see it, it would silently start anew.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    for node in ray.nodes():  # type: ignore[no-untyped-call]
        if node["Alive"] and node["Resources"].get("CPU"):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            look = ray.remote(missing_here).options(num_cpus=0, scheduling_strategy=there)
            try:
                missing = ray.get(look.remote(paths))
            except Exception as fault:  # most likely an import: the remedy names what must be there
                missing = [f"medfed of this version ({_root(fault)})"]
            if missing:
                machine = node["NodeManagerHostname"]
                remedy = "every machine needs medfed, the data and the run's folder under the same paths"
                raise EngineError(f"engine ray: machine {machine} does not have {', '.join(missing)}; {remedy}")


def _root(fault: BaseException) -> str:
    """The first cause, in one line."""
    while fault.__cause__ is not None:
        fault = fault.__cause__
    lines = str(fault).strip().splitlines()
    return f"{type(fault).__name__}: {lines[-1] if lines else 'no reason given'}"


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """What this logger would say comes out as an exception, or as a site's fault."""
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)

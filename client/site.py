"""Which site this is and where its images lie: the site's own configuration, never the message.

``site`` and ``data`` come from the node's configuration (``--node-config 'site="a" data="/path/labels.csv"'``).
A runtime that only numbers its nodes (Flower's simulation) gives ``partition-id``, which counts through
``federation.sites``; the path then comes from the environment variable ``MEDFED_DATA``. A simulation adds
``data-digest``, of what the data were when it began.
"""

import os
from collections.abc import Callable
from functools import cache, lru_cache

import torch
from flwr.app import Context

from medfed.config import Scenario
from medfed.data.dataset import open_dataset
from medfed.data.location import resolve_path
from medfed.devices import CPU, devices
from medfed.errors import SiteError
from medfed.sections import DataConfig
from medfed.types import SiteData, Task


def site_name(context: Context, scenario: Scenario) -> str:
    """The name of this site.

    Raises:
        SiteError: the node's configuration names no site and has no usable number.
    """
    config = context.node_config
    if "site" in config:
        return str(config["site"])
    sites = sorted(scenario.federation.sites)
    number = config.get("partition-id")
    if isinstance(number, int) and 0 <= number < len(sites):
        return sites[number]
    raise SiteError(
        f'node {context.node_id}: no site name; expected --node-config \'site="..." data="..."\', '
        f"or a partition-id below {len(sites)} (federation.sites), got {dict(config)}"
    )


def is_simulated(context: Context) -> bool:
    """Whether this site is one of a simulation, as its own configuration or machine says."""
    return context.node_config.get("simulated") is True or os.environ.get("MEDFED_SIMULATED") == "1"


def site_data(context: Context, scenario: Scenario) -> SiteData:
    """This site's images, decoded and memory-mapped; remembered for the next message.

    Raises:
        SiteError: the configuration names no data. DataError: the data are not as they must be.
    """
    site = site_name(context, scenario)
    path = str(context.node_config.get("data", "") or os.environ.get("MEDFED_DATA", ""))
    if not path:
        raise SiteError(f'site {site}: no data; expected --node-config data="PATH" or the variable MEDFED_DATA')
    seed = scenario.seed if scenario.data.seed is None else scenario.data.seed
    version = context.run_id, str(context.node_config.get("data-digest", ""))
    return _sites(path, version, scenario.data, scenario.model_task, seed)(site)


def site_device(context: Context) -> torch.device:
    """Where this site trains and evaluates: ``device`` of its node configuration, or the CPU; the first, of several.

    Raises:
        DeviceError: this machine does not have it.
    """
    return devices(str(context.node_config.get("device", CPU.type)))[0]


@lru_cache(maxsize=2)
def _sites(path: str, version: tuple[int, str], data: DataConfig, task: Task, seed: int) -> Callable[[str], SiteData]:
    """The sites of a data set, each made once; keyed by all that decides them, so that runs of one process share them.

    ``version``: of a run, whose data are read once, and of the content that a simulation has seen there.
    """
    return cache(open_dataset(resolve_path(path), data, task, seed).site)

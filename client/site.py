"""Which site this is and where its images lie: the site's own configuration, never the message.

``site`` and ``data`` come from the node's configuration (``--node-config 'site="a" data="/path/labels.csv"'``).
A runtime that only numbers its nodes (Flower's simulation) gives ``partition-id``, which counts through
``federation.sites``; the path then comes from the environment variable ``MEDFED_DATA``.
"""

import os
from functools import lru_cache

import torch
from flwr.app import Context

from medfed.config import Scenario
from medfed.data.dataset import Dataset, open_dataset
from medfed.data.location import resolve_path
from medfed.devices import CPU, devices
from medfed.errors import SiteError
from medfed.types import SiteData


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
    return _site(path, scenario, site)


def site_device(context: Context) -> torch.device:
    """Where this site trains and evaluates: ``device`` of its node configuration, or the CPU; the first, of several.

    Raises:
        DeviceError: this machine does not have it.
    """
    return devices(str(context.node_config.get("device", CPU.type)))[0]


@lru_cache(maxsize=4096)
def _site(path: str, scenario: Scenario, site: str) -> SiteData:
    return _dataset(path, scenario).site(site)


@lru_cache(maxsize=2)
def _dataset(path: str, scenario: Scenario) -> Dataset:
    return open_dataset(resolve_path(path), scenario.data, scenario.model_task, scenario.seed)

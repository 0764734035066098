"""The spool. Oracles: inverse (read after write), numpy's stack of the flattened updates, planted damage."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medfed.messages import Delivery
from medfed.params import flatten
from medfed.types import Update
from server import spool as module
from server.spool import Spool, SpoolRows

LIKE = {"w": torch.zeros(3, 5), "n": torch.zeros((), dtype=torch.int64), "b": torch.zeros(7)}


def delivery(site: str, seed: int) -> Delivery:
    draws = torch.Generator().manual_seed(seed)
    tensors = {"w": torch.randn(3, 5, generator=draws), "n": torch.tensor(seed), "b": torch.randn(7, generator=draws)}
    extras = {"control": {"w": torch.randn(3, 5, generator=draws)}}
    return Delivery(Update(site, tensors, 10 + seed, 3, {"loss": 0.5, "tau": 2.0}, extras), 1.25, 400)


def test_what_is_spooled_comes_back(tmp_path: Path) -> None:
    given = delivery("St. Mary/1", 4)
    Spool(tmp_path / "1", durable=True).add(given)
    back = Spool(tmp_path / "1", durable=True).recall("St. Mary/1")
    assert back is not None
    assert (back.seconds, back.num_bytes, back.update.site) == (1.25, 400, "St. Mary/1")
    assert (back.update.num_examples, back.update.num_steps, back.update.metrics) == (14, 3, {"loss": 0.5, "tau": 2.0})
    assert all(torch.equal(back.update.tensors[name], value) for name, value in given.update.tensors.items())
    assert torch.equal(back.update.extras["control"]["w"], given.update.extras["control"]["w"])


def test_nothing_is_recalled_of_a_spool_that_was_not_durable(tmp_path: Path) -> None:
    spool = Spool(tmp_path, durable=False)
    spool.add(delivery("a", 1))
    assert spool.recall("a") is None
    assert spool.get("a").update.num_examples == 11


@pytest.mark.parametrize("keep", [0, 5, 100, -3])
def test_a_truncated_file_means_that_the_site_is_asked_again(tmp_path: Path, keep: int) -> None:
    spool = Spool(tmp_path, durable=True)
    spool.add(delivery("a", 1))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:keep])
    assert spool.recall("a") is None
    assert not path.exists()


@pytest.mark.parametrize("chunk_bytes", [1, 40, 60, 10_000])
def test_chunks_are_the_columns_of_the_stacked_updates(tmp_path: Path, monkeypatch, chunk_bytes: int) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    spool = Spool(tmp_path, durable=False)
    deliveries = [delivery(site, seed) for seed, site in enumerate("abc")]
    for each in deliveries:
        spool.add(each)
    rows = SpoolRows(spool, "abc", LIKE)
    assert (rows.sites, rows.num_values) == (("a", "b", "c"), 23)
    for _ in range(2):  # another pass gives the same
        found = np.concatenate([chunk.numpy().copy() for chunk in rows.chunks()], axis=1)
        np.testing.assert_array_equal(found, np.stack([flatten(each.update.tensors) for each in deliveries]))

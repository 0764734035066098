"""Accepted updates of the open round on the server's disk: one safetensors file per site.

Rules that need all updates at once read them from here in chunks of coordinates, memory-mapped, so that memory does not
grow with the number of sites. A server that crashed finds here what had arrived.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from medfed import payload
from medfed.errors import UpdateError
from medfed.files import file_name, replacing
from medfed.messages import Delivery
from medfed.params import group, num_values, prefixed
from medfed.types import Update, Weights

CHUNK_BYTES = 16_000_000
"""Of all rows together, in one chunk: small beside a model, large beside the cost of a step."""

_UPDATE = "update"
_EXTRA = "extra:"


class Spool:
    """The files of one round in ``folder``; ``durable`` ones are on the disk before :meth:`add` returns.

    What is not durable is of no use after a crash, and is not recalled.
    """

    def __init__(self, folder: Path, durable: bool) -> None:
        self._folder = folder
        self.durable = durable

    def add(self, delivery: Delivery) -> None:
        """Write one accepted update, whole or not at all.

        Raises:
            WriteError: it cannot be written.
        """
        update = delivery.update
        groups = prefixed(_UPDATE, update.tensors)
        for name, tensors in update.extras.items():
            groups |= prefixed(_EXTRA + name, tensors)
        metadata = {
            "site": update.site,
            "extras": list(update.extras),
            "num_examples": update.num_examples,
            "num_steps": update.num_steps,
            "metrics": dict(update.metrics),
            "seconds": delivery.seconds,
            "num_bytes": delivery.num_bytes,
            "stacked": delivery.stacked,
        }
        with replacing(self._file(update.site), self.durable) as temporary, temporary.open("wb") as file:
            file.write(payload.pack(groups, metadata))
            if self.durable:
                file.flush()
                os.fsync(file.fileno())

    def recall(self, site: str) -> Delivery | None:
        """What a durable spool holds of ``site``, from before a crash; None where the site must be asked."""
        path = self._file(site)
        if not self.durable or not path.exists():
            return None
        try:
            return self.get(site)
        except (UpdateError, KeyError, ValueError):  # the crash damaged it
            path.unlink()
            return None

    def forget(self, sites: Iterable[str]) -> None:
        """Remove what is there of ``sites``."""
        for site in sites:
            self._file(site).unlink(missing_ok=True)

    def get(self, site: str) -> Delivery:
        """The update of ``site``, its tensors memory-mapped."""
        tensors, about = payload.unpack_all(_mapped(self._file(site)))
        extras = {name: group(tensors, _EXTRA + name) for name in about["extras"]}
        counts = about["num_examples"], about["num_steps"]
        update = Update(about["site"], group(tensors, _UPDATE), *counts, about["metrics"], extras)
        return Delivery(update, about["seconds"], about["num_bytes"], about["stacked"])

    def _file(self, site: str) -> Path:
        return self._folder / f"{file_name(site)}.safetensors"


def _mapped(path: Path) -> memoryview:
    """Copy-on-write. Not by ``mmap``, which keeps a descriptor open for each of a thousand sites."""
    size = path.stat().st_size
    if not size:
        return memoryview(b"")
    found: memoryview = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8).numpy().data
    return found


class SpoolRows:
    """The spooled updates of ``sites`` as rows (:class:`robustness.aggregation.contract.Rows`).

    Args:
        spool: where they lie.
        sites: whose, in this order.
        like: names and shapes of the tensors that make a row.
        extra: the group of extra tensors to read, in place of the update itself.
    """

    def __init__(self, spool: Spool, sites: Sequence[str], like: Weights, extra: str | None = None) -> None:
        self.sites = tuple(sites)
        self.num_values = num_values(like)
        self._names = list(like)
        self._rows: list[list[Tensor]] = []
        for site in sites:
            update = spool.get(site).update
            tensors = update.tensors if extra is None else update.extras[extra]
            self._rows.append([tensors[name].reshape(-1) for name in self._names])

    def chunks(self) -> Iterator[Float[Tensor, "site value"]]:
        """All columns, some at a time; the tensor that is yielded is used again for the next."""
        width = min(self.num_values, max(1, CHUNK_BYTES // (4 * len(self.sites))))
        buffer = torch.empty(len(self.sites), width)
        filled = 0
        for index in range(len(self._names)):
            start, length = 0, self._rows[0][index].numel()
            while start < length:
                take = min(length - start, width - filled)
                for row, tensors in zip(buffer, self._rows, strict=True):
                    row[filled : filled + take] = tensors[index][start : start + take]
                start, filled = start + take, filled + take
                if filled == width:
                    yield buffer
                    filled = 0
        if filled:
            yield buffer[:, :filled]

"""Partitioners: who holds which images. One per file; the contract is in :mod:`medfed.data.partition.contract`."""

from medfed.data.partition.contract import Partitioner, assign
from medfed.data.partition.dirichlet import Dirichlet
from medfed.data.partition.iid import Iid
from medfed.data.partition.natural import Natural
from medfed.data.partition.one_class import OneClass
from medfed.data.partition.quantity import Quantity

__all__ = ["PARTITIONERS", "Partitioner", "assign"]

PARTITIONERS: dict[str, type[Partitioner]] = {
    "natural": Natural,
    "iid": Iid,
    "dirichlet": Dirichlet,
    "quantity": Quantity,
    "one_class": OneClass,
}

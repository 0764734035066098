"""Count-sketches of rows: short vectors with the same inner products (Charikar, Chen and Farach-Colton, ICALP 2002).

Value i goes to bucket i mod D with a sign that a hash of i decides. Inner products of up to D values are kept exactly;
of more they are right in the mean over hashes, within about |x| |y| / sqrt(D): 0.4 % for D = 2^16.
The hash is public: an attacker who knows it can build updates whose sketch misleads.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from robustness.aggregation.contract import Rows

DIMENSION = 2**16
"""D: 256 kB per site."""


def signs(start: int, stop: int) -> Float[Tensor, " value"]:
    """-1 or 1 for each index, by the highest bit of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = np.arange(start + 1, stop + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    highest = ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(63)).astype(np.float32)
    return torch.from_numpy(1.0 - 2.0 * highest)


def sketch(rows: Rows, dimension: int = DIMENSION) -> Float[Tensor, "site bucket"]:
    """The sketch of every row, in one pass, float32; no longer than the rows are."""
    dimension = min(dimension, rows.num_values)
    out = torch.zeros(len(rows.sites), dimension)
    start = 0
    for chunk in rows.chunks():
        signed = chunk * signs(start, start + chunk.shape[1])
        first = start % dimension
        start += chunk.shape[1]
        head = min(dimension - first, signed.shape[1])
        out[:, first : first + head] += signed[:, :head]
        for piece in torch.split(signed[:, head:], dimension, dim=1):
            out[:, : piece.shape[1]] += piece
    return out

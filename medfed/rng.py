"""Named random generators, all derived from one seed.

A stream is named by what it is for, e.g. ``("site-a", 3, "batches")``, so that the numbers which one site
draws never depend on who else took part, on the order of the sites, or on the process that runs them.
"""

import hashlib

import numpy as np
import torch

Name = str | int


def derive_seed(seed: int, *names: Name) -> int:
    """Map ``(seed, names)`` to an integer in [0, 2**63) by BLAKE2b; equal names give equal seeds.

    Strings and integers are told apart (``"1"`` is not ``1``) and lengths are part of the hash, so that two
    different lists of names cannot collide by concatenation.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (seed, *names):
        text = f"{type(part).__name__}:{part}".encode()
        digest.update(len(text).to_bytes(4, "little") + text)
    return int.from_bytes(digest.digest(), "little") >> 1


def torch_generator(seed: int, *names: Name) -> torch.Generator:
    """A CPU generator for the stream ``names``."""
    return torch.Generator().manual_seed(derive_seed(seed, *names))


def numpy_generator(seed: int, *names: Name) -> np.random.Generator:
    """A numpy generator (PCG64) for the stream ``names``."""
    return np.random.default_rng(derive_seed(seed, *names))

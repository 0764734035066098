"""Shamir's secret sharing (Communications of the ACM 22(11), 1979) of 32 bytes, over the integers modulo a prime.

    f(x) = secret + a_1 x + ... + a_(t-1) x^(t-1)  mod p,   share_i = f(x_i)
    secret = sum_i share_i prod_(j != i) x_j / (x_j - x_i)

p is the smallest prime above 2^256, so that every 32 bytes are one number: a field of Python's integers takes 0.5 ms
where GF(2^128) of pycryptodome, two blocks for 32 bytes, takes 30 ms (20 of 30 shares). Python's integers do not take
constant time; a site computes with its own secrets on its own machine only.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

PRIME = 2**256 + 297
SECRET_BYTES = 32
SHARE_BYTES = 33

_DRAWN_BYTES = 48  # modulo PRIME, 384 bits are uniform but for 2^-127

Draw = Callable[[int], bytes]
"""So many random bytes: ``os.urandom``."""


def split(secret: bytes, points: Sequence[int], threshold: int, draw: Draw) -> dict[int, bytes]:
    """A share for each of ``points``; any ``threshold`` of them give the secret back, fewer say nothing of it.

    Raises:
        ValueError: the secret is not of 32 bytes, points are not distinct and above 0, or are too few.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"expected a secret of {SECRET_BYTES} bytes, got {len(secret)}")
    if min(points, default=0) < 1 or len(set(points)) != len(points):
        raise ValueError("expected distinct points above 0")
    if not 1 <= threshold <= len(points):
        raise ValueError(f"expected a threshold from 1 to the {len(points)} shares, got {threshold}")
    drawn = [int.from_bytes(draw(_DRAWN_BYTES)) % PRIME for _ in range(threshold - 1)]
    coefficients = [int.from_bytes(secret), *drawn]
    return {point: _value(coefficients, point).to_bytes(SHARE_BYTES) for point in points}


def _value(coefficients: Sequence[int], point: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * point + coefficient) % PRIME
    return value


def combine(shares: Mapping[int, bytes], threshold: int) -> bytes:
    """The secret, of the ``threshold`` shares with the smallest points.

    Raises:
        ValueError: there are too few, or they are not shares of one secret of 32 bytes.
    """
    if len(shares) < threshold:
        raise ValueError(f"expected {threshold} shares, got {len(shares)}")
    points = tuple(sorted(shares)[:threshold])
    found = sum(int.from_bytes(shares[p]) * c for p, c in zip(points, _coefficients(points), strict=True)) % PRIME
    if found >= 2 ** (8 * SECRET_BYTES):
        raise ValueError("these are not shares of one secret")
    return found.to_bytes(SECRET_BYTES)


@lru_cache(maxsize=512)  # two secrets of a site are opened by the same points
def _coefficients(points: tuple[int, ...]) -> tuple[int, ...]:
    """What the value at each point counts for in the value at 0 (Lagrange)."""
    found = []
    for mine in points:
        above, below = 1, 1
        for other in points:
            if other != mine:
                above, below = above * other % PRIME, below * (other - mine) % PRIME
        found.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(found)

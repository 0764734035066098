"""Secret sharing. Oracles: a line and a parabola by hand, an inverse, and that one share less fits every secret."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.secure_aggregation.shamir import PRIME, SECRET_BYTES, SHARE_BYTES, combine, split
from tests.privacy.secure_aggregation.protocol import seeded


def _bytes(number: int, size: int = SECRET_BYTES) -> bytes:
    return number.to_bytes(size)


def test_a_parabola_by_hand() -> None:
    """f(x) = 7 + 2 x + 3 x^2: f(1) = 12, f(2) = 23, f(5) = 92."""
    drawn = iter([_bytes(2, 48), _bytes(3, 48)])
    shares = split(_bytes(7), (1, 2, 5), 3, lambda size: next(drawn))
    assert {point: int.from_bytes(share) for point, share in shares.items()} == {1: 12, 2: 23, 5: 92}
    assert combine(shares, 3) == _bytes(7)


def test_the_modulus_is_prime() -> None:
    """Fermat's little theorem for many bases; a composite number passes one with probability 1/2 at most."""
    assert all(pow(base, PRIME - 1, PRIME) == 1 for base in range(2, 42))
    assert PRIME > 2 ** (8 * SECRET_BYTES)


@settings(deadline=None, max_examples=30)
@given(secret=st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES), num=st.integers(1, 9), data=st.data())
def test_any_threshold_of_shares_give_the_secret(secret: bytes, num: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(1, num))
    shares = split(secret, range(1, num + 1), threshold, seeded(num))
    for chosen in combinations(shares, threshold):
        assert combine({point: shares[point] for point in chosen}, threshold) == secret


def test_shares_fewer_than_the_threshold_fit_any_secret() -> None:
    """One share of two: for each secret there is a line through it, so that it says nothing."""
    share = int.from_bytes(split(_bytes(5), (1, 2), 2, seeded(1))[1])
    for secret in (0, 5, 2**255):
        drawn = iter([_bytes((share - secret) % PRIME, 48)])
        assert int.from_bytes(split(_bytes(secret), (1, 2), 2, lambda size, drawn=drawn: next(drawn))[1]) == share


def test_too_few_or_wrong_shares_are_refused() -> None:
    shares = split(_bytes(5), (1, 2, 3), 2, seeded(1))
    with pytest.raises(ValueError, match="expected 2 shares, got 1"):
        combine({1: shares[1]}, 2)
    with pytest.raises(ValueError, match="not shares of one secret"):
        combine({1: _bytes(PRIME - 1, SHARE_BYTES), 2: _bytes(PRIME - 1, SHARE_BYTES)}, 2)


@pytest.mark.parametrize(("points", "threshold"), [((0, 1), 2), ((1, 1), 2), ((1, 2), 3), ((1, 2), 0)])
def test_points_and_thresholds_that_cannot_be_are_refused(points: tuple[int, ...], threshold: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        split(_bytes(5), points, threshold, seeded(1))

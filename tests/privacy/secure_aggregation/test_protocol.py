"""Whole sessions. Oracles: the plain sum modulo 2^b, uniformity by chi-square, a count of what the server can open."""

from dataclasses import replace

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from medfed.errors import QuorumError, SiteError, UpdateError
from privacy.secure_aggregation import site
from privacy.secure_aggregation.degree import Degree
from privacy.secure_aggregation.keys import agree, public_key, seal, unseal
from privacy.secure_aggregation.masks import Ring, add_mask
from privacy.secure_aggregation.server import check_letters, check_shares, open_session
from privacy.secure_aggregation.settings import SecAggPlus
from tests.privacy.secure_aggregation.protocol import NAME, run, seeded

PHASES = ("before_sharing", "before_masking", "before_opening")


def _vectors(num_sites: int, length: int, dtype: type = np.uint32) -> dict[str, Ring]:
    draws = np.random.default_rng(num_sites)
    top = np.iinfo(dtype).max
    return {f"site-{i:02d}": draws.integers(0, top, length, dtype, endpoint=True) for i in range(num_sites)}


def _sum(vectors: dict[str, Ring], gone: set[str]) -> Ring:
    """The oracle; integers of Python do not wrap around."""
    rows = [row for name, row in vectors.items() if name not in gone]
    bits = 8 * rows[0].itemsize
    return np.array([sum(int(v) for v in column) % 2**bits for column in zip(*rows, strict=True)], rows[0].dtype)


@settings(deadline=None, max_examples=25)
@given(
    num_sites=st.integers(3, 14),
    length=st.integers(1, 9),
    dtype=st.sampled_from([np.uint32, np.uint64]),
    data=st.data(),
)
def test_the_sum_is_exact_whoever_drops_out(num_sites: int, length: int, dtype: type, data: st.DataObject) -> None:
    vectors = _vectors(num_sites, length, dtype)
    most = int(0.3 * num_sites)
    gone = data.draw(st.lists(st.sampled_from(sorted(vectors)), unique=True, max_size=most))
    when = {name: data.draw(st.sampled_from(PHASES)) for name in gone}
    named = {phase: [name for name in gone if when[name] == phase] for phase in PHASES}
    found = run(vectors, SecAggPlus().degree(num_sites), num_sites, **named)
    assert found.total().tolist() == _sum(vectors, {n for n in gone if when[n] != "before_opening"}).tolist()


@pytest.mark.parametrize("phase", PHASES)
def test_thirty_per_cent_drop_out_of_a_sparse_graph(phase: str) -> None:
    settings = SecAggPlus(security_bits=6, robustness_bits=6)
    vectors = _vectors(60, 3)
    degree = settings.degree(60)
    assert degree.neighbours < 50
    gone = set(sorted(vectors)[::3][:18])
    found = run(vectors, degree, 4, **{phase: gone})
    assert found.total().tolist() == _sum(vectors, set() if phase == "before_opening" else gone).tolist()


def test_masks_cancel_exactly() -> None:
    """Law: of vectors of zeros, no masked one is zero, and the sum is."""
    found = run({f"{i}": np.zeros(64, np.uint32) for i in range(5)}, Degree(4, 3), 1)
    assert all(vector.any() for vector in found.masked.values())
    assert not found.total().any()


def test_adding_and_taking_off_a_mask_is_nothing() -> None:
    """Over more than one chunk of the stream."""
    total = np.arange(150_001, dtype=np.uint32)
    add_mask(total, bytes(32))
    assert (total != np.arange(150_001)).mean() > 0.99
    add_mask(total, bytes(32), subtract=True)
    assert np.array_equal(total, np.arange(150_001))


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64])
def test_what_the_server_receives_of_a_site_is_uniform(dtype: type) -> None:
    """Chi-square of all bytes over 256 bins, for a site that sends zeros; and no likeness between two sites."""
    found = run({f"{i}": np.zeros(20_000, dtype) for i in range(4)}, Degree(3, 2), 2)
    for vector in found.masked.values():
        counts = np.bincount(vector.view(np.uint8), minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-4
    first, second = (vector.view(np.uint8).astype(float) for vector in list(found.masked.values())[:2])
    assert abs(np.corrcoef(first, second)[0, 1]) < 4.0 / np.sqrt(len(first))


def test_too_few_deliver_and_sites_refuse_to_open() -> None:
    with pytest.raises(SiteError, match=r"expected 3 neighbours or more to have delivered, of the 4.*says 2"):
        run(_vectors(5, 2), Degree(4, 3), 1, before_masking=["site-00", "site-01"])


def test_too_few_open_and_the_sum_is_refused() -> None:
    found = run(_vectors(5, 2), Degree(4, 3), 1, before_opening=["site-00", "site-01", "site-02"])
    with pytest.raises(QuorumError, match=r"1 of the 4 neighbours of site-00 .* expected 3 at least|2 of the 4 "):
        found.total()


def test_too_few_share_and_sites_refuse_to_mask() -> None:
    with pytest.raises(SiteError, match="letters of 3 neighbours or more, got 2 of them and 0 of others"):
        run(_vectors(5, 2), Degree(4, 3), 1, before_sharing=["site-00", "site-01"])


def test_the_server_never_opens_both_secrets_of_a_site() -> None:
    """It tells some neighbours of site-00 that it delivered and the others that it did not, and one colludes.

    Every number of neighbours told so is tried; by real answers, the colluding one gives both kinds.
    """
    degree = SecAggPlus().degree(10)
    found = run(_vectors(10, 2), degree, 1)
    colluding, *honest = found.session.graph["site-00"]
    for num_told in range(len(honest) + 1):
        seeds = keys = 1
        for place, name in enumerate(honest):
            state = found.states[name]
            said = frozenset(state.held) - (set() if place < num_told else {"site-00"})
            answer = site.open_masks(state, NAME, said)["site-00"]
            seeds += answer == state.held["site-00"].seed
            keys += answer == state.held["site-00"].key
        assert seeds + keys == 2 + len(honest)
        assert min(seeds, keys) < degree.threshold, f"{colluding} and a lying server open both"


def test_a_neighbour_gives_one_kind_of_share() -> None:
    """By value: the answer is the key's share or the seed's, as it was told; the two differ."""
    held = {"a": site.Shares(b"k" * 33, b"s" * 33), "b": site.Shares(b"K" * 33, b"S" * 33)}
    state = site.Masked(NAME, "c", 1, held)
    assert site.open_masks(state, NAME, frozenset({"a"})) == {"a": b"s" * 33, "b": b"K" * 33}
    with pytest.raises(SiteError, match="another session"):
        site.open_masks(state, b"other", frozenset({"a"}))


@pytest.mark.parametrize("threshold", [1, 2, 5])
def test_sites_refuse_thresholds_that_do_not_keep_secrets_apart(threshold: int) -> None:
    """Of 4 neighbours, 2 and 2 could open both; 5 could open none."""
    keys = {name: site.advertise(NAME, name, seeded(i)) for i, name in enumerate("abcde")}
    invitation = site.Invitation(NAME, threshold, {name: keys[name][1] for name in "bcde"})
    with pytest.raises(SiteError, match=f"threshold above half of them, got 4 and {threshold}"):
        site.share(keys["a"][0], invitation, seeded(9))


def test_sites_refuse_another_session_and_a_key_that_two_have() -> None:
    keys = {name: site.advertise(NAME, name, seeded(i)) for i, name in enumerate("abcde")}
    peers = {name: keys[name][1] for name in "bcde"}
    with pytest.raises(SiteError, match="another session"):
        site.share(keys["a"][0], site.Invitation(b"other", 3, peers), seeded(9))
    with pytest.raises(SiteError, match="two neighbours have one key"):
        site.share(keys["a"][0], site.Invitation(NAME, 3, peers | {"c": peers["b"]}), seeded(9))


def test_a_changed_letter_is_refused() -> None:
    """RFC 8439's tag; and a letter that was sealed for another is none for this site."""
    keys = {name: site.advertise(NAME, name, seeded(i)) for i, name in enumerate("abc")}
    session = open_session(NAME, {name: public for name, (_, public) in keys.items()}, Degree(2, 2), "abc")
    sent = {name: site.share(keys[name][0], session.invitation(name), seeded(7)) for name in "abc"}
    inbox = session.inbox("a", {name: letters for name, (_, letters) in sent.items()})
    for bad in (inbox | {"b": inbox["b"][:-1] + bytes([inbox["b"][-1] ^ 1])}, inbox | {"b": sent["b"][1]["c"]}):
        with pytest.raises(SiteError, match="from b: a letter was sealed with another key, or changed"):
            site.mask(sent["a"][0], bad, np.zeros(1, np.uint32))
    with pytest.raises(SiteError, match="got 2 of them and 1 of others"):
        site.mask(sent["a"][0], inbox | {"z": b""}, np.zeros(1, np.uint32))


def test_wrong_shares_do_not_pass_for_a_sum() -> None:
    found = run(_vectors(5, 2), Degree(4, 3), 1, before_masking=["site-00"])
    bad = {name: dict.fromkeys(shares, bytes(33)) for name, shares in found.answers.items()}
    with pytest.raises(UpdateError, match=r"shares of the key of site-00 are wrong|shares for"):
        replace(found, answers=bad).total()


def test_the_server_refuses_letters_and_shares_that_do_not_fit() -> None:
    found = run(_vectors(3, 2), Degree(2, 2), 1)
    with pytest.raises(UpdateError, match="expected a letter for each of its 2 neighbours, got 1"):
        check_letters(found.session, "site-00", {"site-01": b""})
    with pytest.raises(UpdateError, match="a share of 33 bytes for each of 2 neighbours, got 2"):
        check_shares(found.session, "site-00", found.letters, {"site-01": b"", "site-02": b""})


def test_states_survive_json() -> None:
    """Inverse: a site's phases may be answered by different processes."""
    state, _ = site.advertise(NAME, "a", seeded(1))
    adapter = pydantic.TypeAdapter(site.Advertised)
    assert adapter.validate_json(adapter.dump_json(state)) == state


def test_keys_are_agreed_on_from_either_side_and_bound_to_their_context() -> None:
    """The public key: RFC 7748, section 6.1, Bob."""
    alice = bytes(range(32))
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    assert public_key(bob).hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert agree(alice, public_key(bob), b"x") == agree(bob, public_key(alice), b"x")
    assert agree(alice, public_key(bob), b"x") != agree(bob, public_key(alice), b"y")
    assert agree(alice, public_key(bob), b"a", b"bc") != agree(alice, public_key(bob), b"ab", b"c")
    with pytest.raises(ValueError, match="shared key"):
        agree(alice, bytes(32), b"x")
    assert unseal(bob, seal(bob, b"letter", seeded(1))) == b"letter"

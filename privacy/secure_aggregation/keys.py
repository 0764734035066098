"""Keys that two sites agree on through the server: X25519 (RFC 7748), then HKDF-SHA256 (RFC 5869); and sealed letters.

Every key is bound to the session, to its purpose and to the two sites, so that none serves twice. Letters are sealed
with ChaCha20-Poly1305 (RFC 8439) under a random nonce.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from privacy.secure_aggregation.shamir import Draw

KEY_BYTES = 32

_NONCE_BYTES = 12


def public_key(private: bytes) -> bytes:
    """The public half of 32 random bytes."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agree(private: bytes, public: bytes, *context: bytes) -> bytes:
    """The key of 32 bytes that the owners of ``private`` and ``public`` have in common in this ``context``.

    Raises:
        ValueError: ``public`` is no public key, or one that would make the key known to all.
    """
    common = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    about = b"".join(len(part).to_bytes(4) + part for part in (b"medfed secagg+", *context))
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=about).derive(common)


def seal(key: bytes, letter: bytes, draw: Draw) -> bytes:
    """``letter`` so that only who has ``key`` can read it, and nobody can change it."""
    nonce = draw(_NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, letter, None)


def unseal(key: bytes, sealed: bytes) -> bytes:
    """The inverse of :func:`seal`.

    Raises:
        ValueError: it was sealed with another key, or changed on its way.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
    except (InvalidTag, ValueError) as error:
        raise ValueError("a letter was sealed with another key, or changed on its way") from error

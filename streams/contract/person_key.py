"""The pseudonymous key of a person, and the partition that it hashes to.

Owns the one way from an identifier to a key. The identifier never leaves the door: no key, header, log line, metric
or URL carries it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from streams.contract.events import PersonKey

KEY_VERSION = "p1."
"""Names the secret and the method. A deployment that changes its secret changes this, and re-keys."""


def person_key(secret: bytes, authority: str, identifier: str) -> PersonKey:
    """Make the key of the person whom *authority* knows as *identifier*.

    Raises ValueError when the identifier is blank: a blank one would join strangers.
    """
    if not identifier.strip():
        raise ValueError("the person's identifier is blank")
    message = f"{authority.strip()}|{identifier.strip()}".encode()
    digest = hmac.new(secret, message, hashlib.sha256).digest()
    return PersonKey(KEY_VERSION + base64.urlsafe_b64encode(digest).decode().rstrip("="))


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's own clients choose for *key* (murmur2, positive, modulo)."""
    return (_murmur2(key) & 0x7FFFFFFF) % partitions if partitions > 1 else 0


def _murmur2(data: bytes) -> int:
    """Hash as Java's and aiokafka's default partitioner; `int.from_bytes` per word halves aiokafka's Python form."""
    length = len(data)
    mask = 0xFFFFFFFF
    m = 0x5BD1E995
    h = 0x9747B28C ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = (h * m & mask) ^ k
    if length != whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15

"""The pseudonymous key of a person, and the partition of a key.

Owns the derivation of the key from an identifier. The identifier itself never leaves the intake: no key, header, log
line, metric or URL contains it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from streams.contract.events import PersonKey

KEY_VERSION = "p1."
"""The version of the secret and of the method. Change it whenever the secret changes, because then all keys change too."""


def person_key(secret: bytes, authority: str, identifier: str) -> PersonKey:
    """Return the key of the person with the *identifier* that *authority* assigned.

    Raises ValueError if the identifier is blank, because all persons with a blank identifier would share one key.
    """
    if not identifier.strip():
        raise ValueError("the person's identifier is blank")
    message = f"{authority.strip()}|{identifier.strip()}".encode()
    digest = hmac.new(secret, message, hashlib.sha256).digest()
    return PersonKey(KEY_VERSION + base64.urlsafe_b64encode(digest).decode().rstrip("="))


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner chooses for *key* (positive murmur2 hash, modulo)."""
    return (_murmur2(key) & 0x7FFFFFFF) % partitions if partitions > 1 else 0


def _murmur2(data: bytes) -> int:
    """Return the hash of the Java and aiokafka default partitioners, in half the time of aiokafka's Python code."""
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

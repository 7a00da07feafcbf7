"""The key under which a source of messages is watched.

Owns the one way from a source to a key: who reports of a source, who watches it and who shows it must agree.
"""

from __future__ import annotations

import base64
import hashlib

from streams.contract.events import PersonKey


def feed_key(source: str) -> PersonKey:
    """Return the key under which *source* is watched: of one length whatever the source, and never a person's."""
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()[:16]
    return PersonKey("f1." + base64.urlsafe_b64encode(digest).decode().rstrip("="))

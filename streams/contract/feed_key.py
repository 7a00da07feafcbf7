"""The record key of a source of messages.

Owns the derivation of the key from the source, which the reports, the feeds agent and the displays share.
"""

from __future__ import annotations

import base64
import hashlib

from streams.contract.events import PersonKey


def feed_key(source: str) -> PersonKey:
    """Return the key of *source*. It has a fixed length and never equals the key of a person."""
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()[:16]
    return PersonKey("f1." + base64.urlsafe_b64encode(digest).decode().rstrip("="))

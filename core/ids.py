"""Identifiers: UUIDv7 (RFC 9562), so that keys sort by the time they were made."""

import os
import time
import uuid

_VERSION_AND_VARIANT = (0x7 << 76) | (0x2 << 62)
_RANDOM_BITS = (1 << 74) - 1
_VARIANT_SHIFT = 62


def uuid7() -> uuid.UUID:
    """A new time-ordered id: 48 bits of Unix milliseconds, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10)) & _RANDOM_BITS
    high, low = random >> _VARIANT_SHIFT, random & ((1 << _VARIANT_SHIFT) - 1)
    return uuid.UUID(int=(milliseconds << 80) | _VERSION_AND_VARIANT | (high << 64) | low)

"""API key secrets: how they are made, recognised and stored.

A secret is ``fbx_live_`` or ``fbx_test_`` and 43 URL-safe characters (256 random bits). With that much
randomness a plain SHA-256 cannot be searched, so it is stored unsalted and found by an index.
"""

import hashlib
import re
import secrets

_SHAPE = re.compile(r"fbx_(live|test)_[A-Za-z0-9_-]{43}")
PREFIX_LENGTH = len("fbx_live_") + 4


def new_secret(mode: str) -> str:
    """A fresh secret for ``mode`` ("live" or "test")."""
    return f"fbx_{mode}_{secrets.token_urlsafe(32)}"


def looks_like_secret(text: str) -> bool:
    """Whether ``text`` can be a key at all; anything else is refused without asking the database."""
    return _SHAPE.fullmatch(text) is not None


def digest_of(secret: str) -> str:
    """The form in which a secret is stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()

"""Codes: how they are written, compared and drawn.

A code is kept in capitals; letters are compared without regard to case, blanks around it are dropped. Only ASCII: two
codes that look alike on paper are never two codes.
"""

import re
import secrets

SHORTEST, LONGEST = 3, 40
LONGEST_PREFIX = 20
# Random parts have no vowels (no words by accident) and nothing that is read as something else (0 O, 1 I L).
ALPHABET = "BCDFGHJKMNPQRSTVWXYZ23456789"
RANDOM_LENGTH = 10  # 28^10 codes: one in 29 billion guesses hits one of ten thousand
# Words of the API's paths, which a code in ``coupons/{code}`` must not hide behind.
RESERVED = frozenset({"CREATE", "GENERATE", "LIST", "REDEEM", "VALIDATE"})

PATTERN = rf"^[A-Z0-9][A-Z0-9_-]{{{SHORTEST - 1},{LONGEST - 1}}}$"
_CODE = re.compile(PATTERN.replace("$", r"\Z"))
_PREFIX = re.compile(rf"^[A-Z0-9][A-Z0-9_-]{{0,{LONGEST_PREFIX - 1}}}\Z")


def canonical_code(text: str) -> str | None:
    """The code as it is kept, or None for text that can be no code."""
    return _capitals(text, _CODE)


def canonical_prefix(text: str) -> str | None:
    """The same for the beginning of generated codes."""
    return _capitals(text, _PREFIX)


def _capitals(text: str, pattern: re.Pattern[str]) -> str | None:
    # Capitals of other alphabets may be ASCII (dotless i): they are refused before, not read as something else.
    text = text.strip(" \t\r\n")
    if not text.isascii():
        return None
    code = text.upper()
    return code if pattern.match(code) else None


def random_code(prefix: str = "") -> str:
    """An unguessable code, after ``prefix`` and a dash if there is one."""
    drawn = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return f"{prefix.rstrip('-')}-{drawn}" if prefix else drawn

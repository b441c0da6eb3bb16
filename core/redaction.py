"""Keeping keys out of text that people and logs will read."""

import re

_SECRET = re.compile(
    r"\b(fbx_(?:live|test|page)_|sk-or-v1-|sk-(?!or-v1-)|whsec_)[A-Za-z0-9_\-]{6,}(?:[.:][A-Za-z0-9_\-]{6,})*|(?i:\bbearer)\s+[A-Za-z0-9._\-]+"
)


def redact(text: str) -> str:
    """``text`` with anything that looks like a key replaced by its prefix and ``[redacted]``."""
    return _SECRET.sub(lambda match: f"{match.group(1) or ''}[redacted]", text)

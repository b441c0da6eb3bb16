"""Keeping keys out of text that people and logs will read."""

import re

_SECRET = re.compile(
    r"\b(fbx_(?:live|test|page)_|sk-or-v1-|sk-(?!or-v1-)|[rs]k_(?:live|test)_|whsec_)[A-Za-z0-9_\-]{6,}(?:[.:][A-Za-z0-9_\-]{6,})*|(?i:\bbearer)\s+[A-Za-z0-9._\-]+"
)

# What follows these in an address acts for whoever has it: invitations, reports no longer wanted, checkouts, customers'
# own pages, forgotten passwords, confirmations.
_LINK = re.compile(
    r"(/(?:invitations|unsubscribe|checkout(?:/test)?|portal|client|key|confirm-email)/)(?!test/)[^/?#\s\"']{12,}"
)


def redact(text: str) -> str:
    """``text`` with anything that looks like a key replaced by its prefix and ``[redacted]``, also in addresses."""
    text = _SECRET.sub(lambda match: f"{match.group(1) or ''}[redacted]", text)
    return _LINK.sub(r"\1[redacted]", text)

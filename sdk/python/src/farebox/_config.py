"""Where the server is, who asks, and how patiently."""

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from random import SystemRandom

try:
    VERSION = version("farebox")
except PackageNotFoundError:  # run from a source tree
    VERSION = "0"

_random = SystemRandom()
# Answers after which the same request may succeed.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 8.0
_LONGEST_WAIT = 60  # of those that the server asks for


@dataclass(frozen=True)
class Config:
    """Settings of a client. ``timeout`` and pauses are seconds; ``retries`` counts tries after the first."""

    api_key: str
    base_url: str
    timeout: float = 10.0
    retries: int = 4

    def __repr__(self) -> str:
        return f"Config(base_url={self.base_url!r})"  # never the key

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.api_key}", "User-Agent": f"farebox-python/{VERSION}"}


def config_from(api_key: str | None, base_url: str | None, timeout: float, retries: int) -> Config:
    """Arguments, else FAREBOX_API_KEY and FAREBOX_URL. Raises ValueError when one of them is missing or no key, no
    address."""
    key = (api_key or os.environ.get("FAREBOX_API_KEY", "")).strip()  # a file of secrets ends with a line's end
    url = (base_url or os.environ.get("FAREBOX_URL", "")).strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("The API key holds characters that no key has.")
    if not key:
        raise ValueError("Give api_key, or set FAREBOX_API_KEY.")
    if not url.startswith(("http://", "https://")):
        raise ValueError("Give base_url, or set FAREBOX_URL, for example https://billing.example.com")
    return Config(key, url.rstrip("/"), timeout, retries)


def is_passing(status: int) -> bool:
    """Whether the same request is worth sending again."""
    return status in _PASSING


def pause_before(retry: int, retry_after: str | None = None) -> float:
    """Seconds to wait before ``retry`` (1, 2, ...): what the server says, else longer each time, never in step with
    others who failed at the same moment."""
    if retry_after is not None and retry_after.isdecimal():
        return min(int(retry_after[:9]), _LONGEST_WAIT) + _random.uniform(0, 0.1)
    longest = min(_FIRST_PAUSE * 2 ** (retry - 1), _LONGEST_PAUSE)
    return _random.uniform(longest / 2, longest)

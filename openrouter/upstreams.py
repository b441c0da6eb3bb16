"""Which OpenRouter account stands behind which mode: the real one behind live keys, the stand-in behind test keys."""

from dataclasses import dataclass, field

from django.conf import settings

from accounts.models import Mode


@dataclass(frozen=True, slots=True)
class Upstream:
    """One provider account: its address and our two keys to it. Keys never show in a ``repr``."""

    name: str  # the modes it serves, for people: "live", "test", "live and test"
    modes: tuple[str, ...]
    base_url: str  # without a trailing slash; empty: not configured
    management_key: str = field(repr=False)
    api_key: str = field(repr=False)  # shared inference key, used until an organization has its own

    @property
    def is_manageable(self) -> bool:
        """Whether keys can be made and read there."""
        return bool(self.base_url and self.management_key)

    @property
    def can_be_asked(self) -> bool:
        """Whether calls of our own can be made there."""
        return bool(self.base_url and self.api_key)


def upstream_for(mode: str) -> Upstream:
    """The provider account behind ``mode``; it may be unconfigured (see ``is_manageable``)."""
    return next(upstream for upstream in upstreams() if mode in upstream.modes)


def upstreams() -> list[Upstream]:
    """Every provider account, once: a local start has one stand-in behind both modes."""
    live = (settings.OPENROUTER_BASE_URL, settings.OPENROUTER_MANAGEMENT_KEY, settings.OPENROUTER_API_KEY)
    test = (
        settings.OPENROUTER_SANDBOX_URL,
        settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY,
        settings.OPENROUTER_SANDBOX_API_KEY,
    )
    if live[:2] == test[:2]:
        return [Upstream("live and test", (Mode.LIVE, Mode.TEST), *live)]
    return [Upstream("live", (Mode.LIVE,), *live), Upstream("test", (Mode.TEST,), *test)]


def manageable_modes() -> list[str]:
    """The modes whose provider account we can administer."""
    return [mode for upstream in upstreams() if upstream.is_manageable for mode in upstream.modes]

"""News from the left that the provider side acts on."""

from django.core.cache import cache

from openrouter.gateway.access import SUB_KEY
from openrouter.tasks import follow_limit
from outbox.models import DomainEvent
from outbox.registry import handles

# News of one organization within this many seconds lead to one request to the provider.
_GATHER_SECONDS = 5


@handles("credits.granted", "credits.refunded", "credits.expired", "credits.reversed", "tier.changed")
def move_limit(event: DomainEvent) -> None:
    """Let the sub-key's spend limit follow the organization's credits, a moment later."""
    key = f"openrouter:limit:{event.organization_id}"
    if event.organization_id is None or not cache.add(key, 1, _GATHER_SECONDS):
        return
    try:
        follow_limit.apply_async([str(event.organization_id)], countdown=_GATHER_SECONDS + 1)
    except Exception:
        cache.delete(key)  # the news is told again, and then not for one that is on its way
        raise


@handles("gateway.provider_account_problem")
def look_at_key(event: DomainEvent) -> None:
    """A sub-key was refused: one that was deleted at the provider is replaced, a limit that was lowered is raised."""
    if event.data.get("key") == SUB_KEY:
        move_limit(event)

"""Requests that failed and were billed all the same: our cost, no customer's, visible on their rows."""

from datetime import datetime, timedelta

from core.money import quantize
from openrouter.client import OpenRouterClient, ProviderNotFound
from openrouter.models import Attempt

_AS_OLD_AS = timedelta(days=2)
_MOST = 100  # looked up at a time, the latest first


def price_failed_requests(key_hash: str, client: OpenRouterClient, *, at: datetime) -> int:
    """Note what the provider's records say that failed requests with a key have cost; how many had a cost.

    To be called where the provider's sum is above ours: it rarely bills an error. Raises ProviderError.
    """
    failed = Attempt.objects.filter(
        key_hash=key_hash, started_at__gte=at - _AS_OLD_AS, answered=False, cost__isnull=True, status_code__gte=500
    ).exclude(generation_id="")
    priced = 0
    for attempt in failed.order_by("-started_at")[:_MOST]:
        try:
            cost = quantize(client.generation(attempt.generation_id).total_cost)
        except ProviderNotFound:
            continue
        priced += Attempt.objects.filter(pk=attempt.pk, cost__isnull=True).update(cost=cost) if cost else 0
    return priced

"""Tiers for the provider's tests."""

from itertools import count

from accounts.models import Organization
from tests.openrouter.building import now
from tiers.models import Subscription, Tier
from tiers.querysets import forget_terms

_numbers = count(1)


def put_on_tier(organization: Organization, **fields) -> Tier:
    """A tier of its own for the organization, in place of the one it has."""
    tier = Tier.objects.create(slug=f"tier-{next(_numbers)}", name="Test tier", **fields)
    Subscription.objects.filter(organization=organization).delete()
    Subscription.objects.begin(organization=organization, tier=tier, at=now())
    forget_terms()
    return tier

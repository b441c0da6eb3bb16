"""A customer's service that reports usage: an organization on a tier of its own, a price list, a key."""

from datetime import UTC, datetime
from itertools import count

from accounts.models import Organization
from credits.services import grant_credits
from metering.models import LanguageModel, ModelPrice
from metering.price_book import forget_price_book
from tests.api.caller import Caller
from tests.builders import NOON, make_customer, usd
from tiers.models import Subscription, Tier
from tiers.querysets import forget_terms

_numbers = count(1)
TEN_PERCENT = {"type": "percentage", "percent": "10", "applies_to": "paid"}
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def make_reporter(credit: str = "10", *, components=(TEN_PERCENT,), **tier) -> Organization:
    """A customer with ``credit`` USD on a tier of its own."""
    organization = make_customer()
    slug = f"reporting-{next(_numbers)}"
    plan = Tier.objects.create(slug=slug, name=slug, components=list(components), **tier)
    for each in (organization, organization.test_twin):
        Subscription.objects.filter(organization=each).delete()
        Subscription.objects.begin(organization=each, tier=plan, at=NOON)
    forget_terms()
    if usd(credit):
        posting = {"amount": usd(credit), "kind": "bonus", "reason": "test", "actor": "test", "at": NOON}
        grant_credits(organization_id=organization.pk, **posting)
    return organization


def make_model(model_id: str = "vendor/model", *, start=LONG_AGO, is_free=False, **pricing: str) -> ModelPrice:
    """A price from ``start`` on; by default 1 USD per million input tokens and 2 USD per million output tokens."""
    pricing = {"prompt": "0.000001", "completion": "0.000002", **pricing}
    model, _ = LanguageModel.objects.get_or_create(id=model_id, defaults={"name": model_id, "source": "test"})
    ModelPrice.objects.filter(model=model, effective_to=None).update(effective_to=start)
    price = ModelPrice.objects.create(
        model=model, pricing=pricing, is_free=is_free, effective_from=start, source="test"
    )
    forget_price_book()
    return price


class Reporter(Caller):
    """Reports usage through Django."""

    def track(self, event, **headers):
        return self.ask("POST", "metering/track", event, **headers)

    def track_batch(self, events, **headers):
        return self.ask("POST", "metering/track/batch", {"events": events}, **headers)

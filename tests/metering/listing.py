"""Lists of models as a provider publishes them, and what the price book keeps of them."""

from datetime import UTC, datetime, timedelta

from metering.models import ModelPrice
from metering.price_book import card_for
from metering.services.price_book import sync_models

# The book in memory keeps recent weeks, so the clock of these tests is near the real one.
DAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)
HOUR = timedelta(hours=1)
PLAIN = {"prompt": "0.000003", "completion": "0.000015"}


def record(model_id: str, pricing: dict | None = None, **fields) -> dict:
    return {"id": model_id, "name": model_id.title(), "pricing": PLAIN if pricing is None else pricing, **fields}


def sync(*records, at=DAY, source="openrouter", **options):
    return sync_models(list(records), source=source, at=at, **options)


def rows(model_id: str) -> list[tuple]:
    """(prompt price, from, to) of each row, oldest first."""
    found = ModelPrice.objects.filter(model_id=model_id).order_by("effective_from", "created_at")
    return [(row.pricing["prompt"], row.effective_from, row.effective_to) for row in found]


def name_of(name: str, requested: str = "") -> str | None:
    price = card_for(name, DAY, requested=requested)
    return price.model.id if price else None

"""What billing does when something has happened."""

from uuid import UUID

from django.utils import timezone

from billing.models import CustomerSubscription
from billing.services.grants import follow_product
from outbox.models import DomainEvent
from outbox.registry import handles


@handles("billing.product.benefits_changed")
def follow_benefits(event: DomainEvent) -> None:
    """Those who are subscribed gain what the product has gained, and lose what it has lost."""
    product_id = UUID(event.data["product_id"])
    for subscription in CustomerSubscription.objects.running().filter(product_id=product_id).order_by("id"):
        follow_product(subscription, actor=event.actor_label or "billing", at=timezone.now())

"""What billing does when something has happened."""

from uuid import UUID

from django.utils import timezone

from billing.models import CustomerSubscription
from billing.services.products import follow_benefits
from outbox.models import DomainEvent
from outbox.registry import handles


@handles("billing.product.benefits_changed")
def benefits_changed(event: DomainEvent) -> None:
    """Those who are subscribed gain what the product has gained, and lose what it has lost."""
    product_id = UUID(event.data["product_id"])
    running = CustomerSubscription.objects.running().filter(product_id=product_id).order_by("id")
    for subscription_id in running.values_list("id", flat=True):
        follow_benefits(subscription_id=subscription_id, actor=event.actor_label or "billing", at=timezone.now())

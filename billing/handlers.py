"""What billing does when something has happened."""

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from billing.models import CustomerSubscription, Refund
from billing.services.products import follow_benefits
from billing.services.refunds import record_refund
from outbox.models import DomainEvent
from outbox.registry import handles
from payments.providers.port import Answer
from payments.registry import on_customer_refund


@on_customer_refund
def refund_changed(refund_id: UUID, answer: Answer, /, *, at: datetime) -> str:
    """The payment provider has told of a refund, perhaps one that failed after it seemed done."""
    if not Refund.objects.filter(pk=refund_id).exists():
        return ""
    return f"The refund is {record_refund(refund_id=refund_id, answer=answer, at=at).status}."


@handles("billing.product.benefits_changed")
def benefits_changed(event: DomainEvent) -> None:
    """Those who are subscribed gain what the product has gained, and lose what it has lost."""
    product_id = UUID(event.data["product_id"])
    running = CustomerSubscription.objects.running().filter(product_id=product_id).order_by("id")
    for subscription_id in running.values_list("id", flat=True):
        follow_benefits(subscription_id=subscription_id, actor=event.actor_label or "billing", at=timezone.now())

"""What webhooks of the wire carry: the objects that its routes answer, as they are when they are told of."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils import timezone

from billing.models import Benefit, BenefitGrant, Checkout, Customer, CustomerSubscription, Order, Product, Refund
from billing_api.calls import page_url
from billing_api.objects.catalogue import benefit_object, product_object
from billing_api.objects.checkouts import checkout_objects
from billing_api.objects.customers import customer_object
from billing_api.objects.orders import order_objects, refund_objects
from billing_api.objects.states import state_object
from billing_api.objects.subscriptions import grant_object, subscription_object
from billing_api.wire import encode
from outbox.models import DomainEvent
from outbox.webhooks.registry import register_payload

Make = Callable[[UUID], Any]


def _order(id: UUID) -> Any:
    found = Order.objects.filter(pk=id).first()
    return found and order_objects([found])[0]


def _refund(id: UUID) -> Any:
    found = Refund.objects.filter(pk=id).first()
    return found and refund_objects([found])[0]


def _subscription(id: UUID) -> Any:
    found = CustomerSubscription.objects.filter(pk=id).first()
    return found and subscription_object(found, versioned=False)


def _customer(id: UUID) -> Any:
    found = Customer.objects.filter(pk=id).first()
    return found and customer_object(found)


def _state(id: UUID) -> Any:
    found = Customer.objects.filter(pk=id, deleted_at__isnull=True).first()
    return found and state_object(found, at=timezone.now())


def _grant(id: UUID) -> Any:
    found = BenefitGrant.objects.select_related("customer", "benefit").filter(pk=id).first()
    return found and grant_object(found)


def _checkout(id: UUID) -> Any:
    found = Checkout.objects.filter(pk=id).first()
    return found and checkout_objects([found], base_url=page_url(), versioned=False)[0]


def _product(id: UUID) -> Any:
    found = Product.objects.filter(pk=id).first()
    return found and product_object(found, versioned=False)


def _benefit(id: UUID) -> Any:
    found = Benefit.objects.filter(pk=id).first()
    return found and benefit_object(found)


# By the id in the domain event: how to make the object, and the types that carry it with what they say.
_PAYLOADS: dict[str, tuple[Make, dict[str, str]]] = {
    "order_id": (
        _order,
        {
            "order.created": "A customer was billed",
            "order.paid": "An order is paid",
            "order.refunded": "An order was paid back, in part or whole",
        },
    ),
    "refund_id": (
        _refund,
        {
            "refund.created": "Money of an order is to be given back",
            "refund.updated": "A refund has succeeded or failed",
        },
    ),
    "subscription_id": (
        _subscription,
        {
            "subscription.created": "A customer has subscribed",
            "subscription.active": "A subscription is in force",
            "subscription.updated": "A subscription has changed",
            "subscription.canceled": "A subscription is to end",
            "subscription.uncanceled": "A subscription is to go on after all",
            "subscription.revoked": "A subscription has ended",
            "subscription.past_due": "A renewal could not be paid",
        },
    ),
    "customer_id": (
        _customer,
        {
            "customer.created": "There is a new customer",
            "customer.updated": "A customer has changed",
            "customer.deleted": "A customer was deleted",
        },
    ),
    "benefit_grant_id": (
        _grant,
        {
            "benefit_grant.created": "A customer has a benefit",
            "benefit_grant.cycled": "A benefit was given again for a new period",
            "benefit_grant.updated": "A customer’s benefit has changed",
            "benefit_grant.revoked": "A benefit was taken back",
        },
    ),
    "checkout_id": (
        _checkout,
        {"checkout.created": "A checkout was opened", "checkout.updated": "A checkout has changed"},
    ),
    "product_id": (
        _product,
        {"product.created": "There is a new product", "product.updated": "A product has changed"},
    ),
    "benefit_id": (
        _benefit,
        {"benefit.created": "There is a new benefit", "benefit.updated": "A benefit has changed"},
    ),
}
_STATE_CHANGED = "A customer’s subscriptions, benefits or balances have changed"


def register_payloads() -> None:
    """Let webhook endpoints choose the types of the wire."""
    for name, (make, types) in _PAYLOADS.items():
        for type, words in types.items():
            register_payload(type, _renderer(name, make), words=words)
    register_payload("customer.state_changed", _renderer("customer_id", _state), words=_STATE_CHANGED)


def _renderer(name: str, make: Make) -> Callable[[DomainEvent], bytes | None]:
    def render(event: DomainEvent) -> bytes | None:
        """The object as JSON; None when it is gone."""
        found = make(UUID(str(event.data[name])))
        return None if found is None else encode(found)

    return render

"""What a paid checkout brings: a customer, an order, perhaps a subscription, benefits. The checkout is locked."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db.models import Q

from accounts.principal import Actor
from billing.announcing import announce, note_state_change
from billing.errors import InvalidValue
from billing.locks import lock_customer
from billing.models import (
    BillingReason,
    Checkout,
    CheckoutStatus,
    Customer,
    CustomerSubscription,
    PriceKind,
    Product,
    ProductPrice,
)
from billing.services.customers import create_customer, update_customer
from billing.services.grants import grant_benefits
from billing.services.orders import fixed_lines, place_order
from billing.services.subscriptions import begin_subscription, end_all
from payments.providers.port import MethodFacts

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Card:
    """A means of payment that the provider of that name keeps."""

    provider: str
    facts: MethodFacts


def complete_checkout(
    checkout: Checkout,
    customer: Customer | None,
    *,
    actor: Actor | str,
    at: datetime,
    card: Card | None = None,
) -> Customer:
    """Hand over what was bought, once; the customer, who is made if he is new.

    ``customer`` is locked if he is known already. ``card`` is what he has paid with, to be charged again. What is
    handed over was agreed when the checkout was confirmed, whatever the product has become since; for somebody who was
    deleted meanwhile all of it ends at once, and the order is left to be refunded.
    """
    customer = customer or buyer_of(checkout) or _made_once(checkout, actor, at)
    customer = lock_customer(customer.pk)
    if checkout.status == CheckoutStatus.SUCCEEDED:
        return customer
    named, prices = is_named(checkout, customer), prices_of(checkout)
    is_gone = customer.deleted_at is not None
    if named and not is_gone:
        _complete_facts(checkout, customer, actor, at)
    checkout.status, checkout.customer = CheckoutStatus.SUCCEEDED, customer
    checkout.succeeded_at = checkout.modified_at = at
    checkout.failure_message = ""
    checkout.save()
    subscription = _hand_over(checkout, prices, customer, actor, at)
    if is_gone:
        log.warning("billing.paid_by_deleted_customer", checkout_id=str(checkout.id), customer_id=str(customer.id))
        end_all(customer, actor=actor, at=at)
    elif card is not None:
        _keep(card, customer if named or not customer.payment_method else subscription)
    announce("checkout.updated", organization_id=checkout.organization_id, actor=actor, at=at, checkout_id=checkout.id)
    note_state_change([(customer.id, customer.organization_id)], at=at)
    return customer


def buyer_of(checkout: Checkout) -> Customer | None:
    """Whom the checkout is for, as far as he is a customer already: by id, external id, or e-mail address."""
    known = Customer.objects.of(checkout.organization_id)
    if checkout.customer_id is not None:
        return known.filter(pk=checkout.customer_id).first()
    if checkout.external_customer_id and (found := known.filter(external_id=checkout.external_customer_id).first()):
        return found
    return known.filter(email__iexact=checkout.customer_email.strip()).first() if checkout.customer_email else None


def is_named(checkout: Checkout, customer: Customer) -> bool:
    """Whether the merchant says that the customer buys; else an e-mail address does, and anybody can type one."""
    if checkout.customer_id is not None:
        return checkout.customer_id == customer.pk
    return bool(checkout.external_customer_id) and checkout.external_customer_id == customer.external_id


def check_buyer(checkout: Checkout, token: str = "") -> None:
    """Before anybody pays: whether it is clear who buys, and whose card is to be charged later. Raises InvalidValue."""
    buyer = buyer_of(checkout)
    if checkout.customer_id is not None and buyer is None:
        raise InvalidValue(["customer_id"], "Customer not found.", value=str(checkout.customer_id))
    if buyer is None and not checkout.customer_email:
        raise InvalidValue(["customer_email"], "An email address is needed.", kind="missing", value=None)
    if buyer is None or is_named(checkout, buyer):
        return
    if checkout.external_customer_id:
        message = "Another customer has this email address."
        raise InvalidValue(["customer_email"], message, value=checkout.customer_email)
    if not token and buyer.payment_method and _bills_later(checkout.product):
        # Whoever types his address must not have his card charged.
        message = "A confirmation token is needed: present a means of payment."
        raise InvalidValue(["confirmation_token_id"], message, kind="missing", value=None)


def _bills_later(product: Product) -> bool:
    costs = Q(price_amount__gt=0) | Q(kind=PriceKind.METERED_UNIT)
    return product.is_recurring and product.prices.filter(costs, is_archived=False).exists()


def prices_of(checkout: Checkout) -> list[ProductPrice]:
    """What the chosen product cost when the checkout was confirmed, also when that has changed since."""
    agreed_at = checkout.modified_at or checkout.created_at
    prices, since = checkout.product.prices.all(), Q(is_archived=True, modified_at__gt=agreed_at)
    if not prices.filter(since).exists():
        return list(prices.filter(is_archived=False))
    return list(prices.filter(since | Q(is_archived=False), created_at__lte=agreed_at))


def _made_once(checkout: Checkout, actor: Actor | str, at: datetime) -> Customer:
    """A new customer, or the one that another checkout has made of him meanwhile: he has paid for both."""
    try:
        return _made(checkout, actor, at)
    except InvalidValue:
        found = buyer_of(checkout)
        if found is None:
            raise
        return found


def _made(checkout: Checkout, actor: Actor | str, at: datetime) -> Customer:
    return create_customer(
        organization_id=checkout.organization_id,
        email=checkout.customer_email,
        external_id=checkout.external_customer_id,
        name=checkout.customer_name,
        billing_name=checkout.customer_billing_name,
        billing_address=checkout.customer_billing_address,
        metadata=checkout.customer_metadata,
        actor=actor,
        at=at,
    )


def _keep(card: Card, keeper: Customer | CustomerSubscription | None) -> None:
    """Save the card where it will be looked for; one presented under a typed address replaces nobody's."""
    if keeper is None:
        return
    keeper.provider, keeper.provider_customer = card.provider, card.facts.customer
    keeper.payment_method, keeper.payment_method_label = card.facts.reference, card.facts.label
    keeper.save(update_fields=["provider", "provider_customer", "payment_method", "payment_method_label"])


def _hand_over(
    checkout: Checkout, prices: list[ProductPrice], customer: Customer, actor: Actor | str, at: datetime
) -> CustomerSubscription | None:
    """The subscription that begins with it, if one does."""
    product, lines = checkout.product, fixed_lines(checkout.product, prices)
    if not checkout.amount and any(line.amount for line in lines):
        lines = []  # a trial was agreed, also when the product has none any more
    subscription = None
    if product.is_recurring:
        has_trial = checkout.allow_trial and product.trial_interval is not None and not checkout.amount
        subscription = begin_subscription(
            customer,
            product,
            prices,
            actor=actor,
            at=at,
            checkout=checkout,
            has_trial=has_trial,
            metadata=checkout.metadata,
        )
        if has_trial:
            lines = []
    order = place_order(
        customer,
        product,
        lines,
        billing_reason=BillingReason.SUBSCRIPTION_CREATE if subscription else BillingReason.PURCHASE,
        actor=actor,
        at=at,
        is_paid=True,
        checkout=checkout,
        subscription=subscription,
        metadata=checkout.metadata,
    )
    grant_benefits(
        customer, product, subscription=subscription, order=None if subscription else order, actor=actor, at=at
    )
    return subscription


def _complete_facts(checkout: Checkout, customer: Customer, actor: Actor | str, at: datetime) -> None:
    """What the checkout says of a customer whom the merchant has named, and nobody had said before."""
    found = {
        "external_id": checkout.external_customer_id,
        "name": checkout.customer_name,
        "billing_name": checkout.customer_billing_name,
        "billing_address": checkout.customer_billing_address,
    }
    changes = {field: value for field, value in found.items() if value and not getattr(customer, field)}
    if changes:
        update_customer(
            organization_id=customer.organization_id, customer_id=customer.id, changes=changes, actor=actor, at=at
        )
        customer.refresh_from_db()

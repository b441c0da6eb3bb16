"""What a paid checkout brings: a customer, an order, perhaps a subscription, benefits. The checkout is locked."""

from datetime import datetime

from accounts.principal import Actor
from billing.announcing import announce, note_state_change
from billing.errors import InvalidValue
from billing.locks import lock_customer
from billing.models import BillingReason, Checkout, CheckoutStatus, Customer, ProductPrice
from billing.services.customers import create_customer, update_customer
from billing.services.grants import grant_benefits
from billing.services.orders import fixed_lines, place_order
from billing.services.subscriptions import begin_subscription


def complete_checkout(checkout: Checkout, customer: Customer | None, *, actor: Actor | str, at: datetime) -> Customer:
    """Hand over what was bought, once; the customer, who is made if he is new.

    ``customer`` is locked if he is known already.
    """
    customer = customer or buyer_of(checkout) or _made_once(checkout, actor, at)
    customer = lock_customer(customer.pk)
    if checkout.status == CheckoutStatus.SUCCEEDED:
        return customer
    checkout.status, checkout.customer = CheckoutStatus.SUCCEEDED, customer
    checkout.succeeded_at = checkout.modified_at = at
    checkout.failure_message = ""
    checkout.save()
    _hand_over(checkout, customer, actor, at)
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


def check_buyer(checkout: Checkout) -> None:
    """Before anybody pays: whether it is clear who buys. Raises InvalidValue."""
    if checkout.customer_id is not None and buyer_of(checkout) is None:
        raise InvalidValue(["customer_id"], "Customer not found.", value=str(checkout.customer_id))
    buyer = buyer_of(checkout)
    if buyer is None and not checkout.customer_email:
        raise InvalidValue(["customer_email"], "An email address is needed.", kind="missing", value=None)
    wanted = checkout.external_customer_id
    if buyer is not None and wanted and buyer.external_id not in (None, wanted):
        message = "Another customer has this email address."
        raise InvalidValue(["customer_email"], message, value=checkout.customer_email)


def prices_of(checkout: Checkout) -> list[ProductPrice]:
    """What the chosen product costs now."""
    return list(checkout.product.prices.filter(is_archived=False))


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


def _hand_over(checkout: Checkout, customer: Customer, actor: Actor | str, at: datetime) -> None:
    _complete_facts(checkout, customer, actor, at)
    product, prices = checkout.product, prices_of(checkout)
    lines = fixed_lines(product, prices)
    subscription = None
    if product.is_recurring:
        has_trial = checkout.allow_trial and product.trial_interval is not None
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


def _complete_facts(checkout: Checkout, customer: Customer, actor: Actor | str, at: datetime) -> None:
    """What the checkout says of a known customer who had not said it before."""
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

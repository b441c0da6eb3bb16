"""What merchants change about running subscriptions. A period that is over is closed before."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from billing.announcing import note_state_change
from billing.errors import AlreadyCanceledSubscription, InvalidValue, NotFound, SubscriptionEnded
from billing.locks import lock_customer
from billing.models import Customer, CustomerSubscription, SubscriptionStatus
from billing.services.closing import close_customer
from billing.services.subscriptions import announce_subscription, end_subscription, tell


@transaction.atomic
def cancel_subscription(
    *,
    organization_id: UUID,
    subscription_id: UUID,
    actor: Actor | str,
    at: datetime,
    reason: str = "",
    comment: str = "",
) -> CustomerSubscription:
    """Let it end with its period. Raises NotFound, AlreadyCanceledSubscription."""
    customer, subscription = _locked(organization_id, subscription_id, at)
    if subscription.cancel_at_period_end or not subscription.is_running:
        raise AlreadyCanceledSubscription()
    subscription.cancel_at_period_end = True
    subscription.canceled_at = subscription.modified_at = at
    subscription.ends_at = subscription.current_period_end
    subscription.cancellation_reason, subscription.cancellation_comment = reason[:40], comment
    subscription.save()
    tell(subscription, customer, "subscription.canceled", actor=actor, at=at)
    announce_subscription(subscription, "subscription.updated", actor, at)
    return subscription


@transaction.atomic
def uncancel_subscription(
    *, organization_id: UUID, subscription_id: UUID, actor: Actor | str, at: datetime
) -> CustomerSubscription:
    """Let it go on after all; harmless when it was never to end. Raises NotFound, SubscriptionEnded."""
    customer, subscription = _locked(organization_id, subscription_id, at)
    if not subscription.is_running:
        raise SubscriptionEnded()
    if not subscription.cancel_at_period_end:
        return subscription
    subscription.cancel_at_period_end = False
    subscription.canceled_at = subscription.ends_at = None
    subscription.cancellation_reason = subscription.cancellation_comment = ""
    subscription.modified_at = at
    subscription.save()
    tell(subscription, customer, "subscription.uncanceled", actor=actor, at=at)
    announce_subscription(subscription, "subscription.updated", actor, at)
    return subscription


@transaction.atomic
def revoke_subscription(
    *,
    organization_id: UUID,
    subscription_id: UUID,
    actor: Actor | str,
    at: datetime,
    reason: str = "",
    comment: str = "",
) -> CustomerSubscription:
    """End it now and take back what it gives. Metered use of the open period is not billed.

    Raises NotFound, AlreadyCanceledSubscription.
    """
    customer, subscription = _locked(organization_id, subscription_id, at)
    if not subscription.is_running:
        raise AlreadyCanceledSubscription()
    subscription.cancellation_reason = reason[:40] or subscription.cancellation_reason
    subscription.cancellation_comment = comment or subscription.cancellation_comment
    end_subscription(subscription, customer, actor=actor, at=at, ended_at=at)
    return subscription


@transaction.atomic
def move_period_end(
    *, organization_id: UUID, subscription_id: UUID, period_end: datetime, actor: Actor | str, at: datetime
) -> CustomerSubscription:
    """Renew at ``period_end`` instead, earlier or later; later periods are counted from there.

    Raises NotFound, SubscriptionEnded, InvalidValue when ``period_end`` is not in the future.
    """
    customer, subscription = _locked(organization_id, subscription_id, at)
    if not subscription.is_running:
        raise SubscriptionEnded()
    if period_end <= at or period_end <= subscription.current_period_start:
        message = "The end of the period must be in the future."
        raise InvalidValue(["current_billing_period_end"], message, value=period_end.isoformat())
    subscription.current_period_end = subscription.anchor_at = period_end
    subscription.period_index = -1
    if subscription.status == SubscriptionStatus.TRIALING:
        subscription.trial_end = period_end
    if subscription.cancel_at_period_end:
        subscription.ends_at = period_end
    subscription.modified_at = at
    subscription.save()
    announce_subscription(subscription, "subscription.updated", actor, at)
    note_state_change([(customer.id, customer.organization_id)], at=at)
    return subscription


def _locked(organization_id: UUID, subscription_id: UUID, at: datetime) -> tuple[Customer, CustomerSubscription]:
    found = CustomerSubscription.objects.of(organization_id).filter(pk=subscription_id)
    owner = found.values_list("customer_id", flat=True).first()
    if owner is None:
        raise NotFound("There is no such subscription.")
    close_customer(customer_id=owner, at=at)
    customer = lock_customer(owner)
    return customer, found.select_related("product").get()

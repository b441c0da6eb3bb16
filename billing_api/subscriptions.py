"""Subscriptions: begun where nothing is due, changed, ended."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db.models import Q
from msgspec import UNSET, Meta, UnsetType

from billing.models import CustomerSubscription as Row
from billing.services import (
    cancel_subscription,
    create_subscription,
    move_period_end,
    revoke_subscription,
    uncancel_subscription,
)
from billing_api.bodies import Metadata, checked_metadata
from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import ResourceNotFound, invalid
from billing_api.objects.subscriptions import Subscription, subscription_object, subscription_objects
from billing_api.queries import Page, PageQuery, narrowed, paginated, sorted_rows
from billing_api.renewing import renew_named, renew_shown

Reason = Literal[
    "customer_service",
    "low_quality",
    "missing_features",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
    "other",
]
Moment = Annotated[datetime, Meta(tz=True)]
_SORTED_BY = {name: name for name in ("started_at", "current_period_end", "status", "amount", "created_at", "ends_at")}
_SORTED_BY |= {"customer": "customer__email", "product": "product__name", "ended_at": "ended_at"}


class SubscriptionCreate(msgspec.Struct, kw_only=True):
    """Whom to subscribe to what. The product costs nothing now: it is free, or only metered."""

    product_id: UUID
    customer_id: UUID | None = None
    external_customer_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    metadata: Metadata = {}


class SubscriptionUpdate(msgspec.Struct, kw_only=True):
    """One change: end with the period or not after all, end now, or move the end of the period."""

    cancel_at_period_end: bool | UnsetType = UNSET
    revoke: bool | UnsetType = UNSET
    current_billing_period_end: Moment | UnsetType = UNSET
    customer_cancellation_reason: Reason | None = None
    customer_cancellation_comment: Annotated[str, Meta(max_length=5_000)] | None = None


class SubscriptionQuery(PageQuery, kw_only=True):
    """Which subscriptions; ``active``: those in good standing, or all others."""

    customer_id: list[UUID] = []
    external_customer_id: list[str] = []
    product_id: list[UUID] = []
    active: bool | None = None
    cancel_at_period_end: bool | None = None


@endpoint("GET", "subscriptions/", scope="subscriptions:read", query=SubscriptionQuery, answer=PageOf(Subscription))
def list_subscriptions(call: Call, query: SubscriptionQuery) -> Page:
    """List subscriptions, the latest first."""
    renew_named(call, query.customer_id, query.external_customer_id)
    rows = narrowed(Row.objects.of(call.organization_id), call.organization_id, query)
    if query.customer_id or query.external_customer_id:
        rows = rows.filter(
            Q(customer_id__in=query.customer_id) | Q(customer__external_id__in=query.external_customer_id)
        )
    if query.product_id:
        rows = rows.filter(product_id__in=query.product_id)
    if query.active is not None:
        standing = Q(id__in=Row.objects.of(call.organization_id).active().values("id"))
        rows = rows.filter(standing if query.active else ~standing)
    if query.cancel_at_period_end is not None:
        rows = rows.filter(cancel_at_period_end=query.cancel_at_period_end)
    rows = sorted_rows(rows, query.sorting, _SORTED_BY, ["-started_at"])
    return paginated(rows, query, lambda found: subscription_objects(found, versioned=call.speaks_versions))


@endpoint(
    "POST",
    "subscriptions/",
    scope="subscriptions:write",
    status=201,
    body=SubscriptionCreate,
    answer=Subscription,
    example={"product_id": "0191f6f0-0000-7000-8000-000000000000", "external_customer_id": "user_42"},
)
def create_a_subscription(call: Call, body: SubscriptionCreate) -> Subscription:
    """Subscribe a customer to a product that costs nothing now; for others there are checkouts."""
    row = create_subscription(
        organization_id=call.organization_id,
        product_id=body.product_id,
        customer_id=body.customer_id,
        external_customer_id=body.external_customer_id,
        metadata=checked_metadata(body.metadata),
        actor=call.actor,
        at=call.at,
    )
    return subscription_object(row, versioned=call.speaks_versions)


@endpoint("GET", "subscriptions/{id}", scope="subscriptions:read", answer=Subscription)
def get_subscription(call: Call, id: UUID) -> Subscription:
    """Get a subscription."""
    return subscription_object(_current(call, id), versioned=call.speaks_versions)


@endpoint(
    "PATCH",
    "subscriptions/{id}",
    scope="subscriptions:write",
    body=SubscriptionUpdate,
    answer=Subscription,
    example={"cancel_at_period_end": True, "customer_cancellation_reason": "too_expensive"},
)
def update_a_subscription(call: Call, id: UUID, body: SubscriptionUpdate) -> Subscription:
    """Let a subscription end with its period, or not; end it now; or move the end of its period."""
    _current(call, id)
    row = _change(call, id, body)
    return subscription_object(row, versioned=call.speaks_versions)


@endpoint("DELETE", "subscriptions/{id}", scope="subscriptions:write", answer=Subscription)
def revoke_a_subscription(call: Call, id: UUID) -> Subscription:
    """End a subscription now; what it gives is taken back."""
    _current(call, id)
    row = revoke_subscription(organization_id=call.organization_id, subscription_id=id, actor=call.actor, at=call.at)
    return subscription_object(row, versioned=call.speaks_versions)


def _current(call: Call, id: UUID) -> Row:
    """The subscription, renewed if that was due. Raises ResourceNotFound."""
    renew_shown(call, [id])
    found: Row | None = Row.objects.of(call.organization_id).filter(id=id).first()
    if found is None:
        raise ResourceNotFound()
    return found


def _change(call: Call, id: UUID, body: SubscriptionUpdate) -> Row:
    named: dict[str, Any] = {
        "organization_id": call.organization_id,
        "subscription_id": id,
        "actor": call.actor,
        "at": call.at,
    }
    why: dict[str, Any] = {
        "reason": body.customer_cancellation_reason or "",
        "comment": body.customer_cancellation_comment or "",
    }
    if body.revoke is True:
        return revoke_subscription(**named, **why)
    if isinstance(body.current_billing_period_end, datetime):
        return move_period_end(**named, period_end=body.current_billing_period_end)
    if body.cancel_at_period_end is True:
        return cancel_subscription(**named, **why)
    if body.cancel_at_period_end is False:
        return uncancel_subscription(**named)
    words = "Send cancel_at_period_end, revoke or current_billing_period_end; other changes are not made here."
    raise invalid(["body"], words, "missing")

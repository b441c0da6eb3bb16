"""Refunds of orders."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db.models import Q
from msgspec import Meta

from billing.models import Refund as Row
from billing.services import refund_order
from billing_api.bodies import Metadata, checked_metadata
from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.objects.orders import Refund, refund_objects
from billing_api.queries import Page, PageQuery, narrowed, paginated, sorted_rows

Reason = Literal[
    "duplicate",
    "fraudulent",
    "customer_request",
    "service_disruption",
    "satisfaction_guarantee",
    "dispute_prevention",
    "other",
]
_SORTED_BY = {"created_at": "created_at", "amount": "amount"}


class RefundCreate(msgspec.Struct, kw_only=True):
    """How many cents of which order to give back; ``revoke_benefits``: and to take back what a purchase gave."""

    order_id: UUID
    reason: Reason
    amount: Annotated[int, Meta(ge=1, lt=2**53)]
    comment: Annotated[str, Meta(max_length=5_000)] | None = None
    revoke_benefits: bool = False
    metadata: Metadata = {}


class RefundQuery(PageQuery, kw_only=True):
    """Which refunds."""

    id: list[UUID] = []
    order_id: list[UUID] = []
    subscription_id: list[UUID] = []
    customer_id: list[UUID] = []
    external_customer_id: list[str] = []
    succeeded: bool | None = None


@endpoint("GET", "refunds/", scope="refunds:read", query=RefundQuery, answer=PageOf(Refund))
def list_refunds(call: Call, query: RefundQuery) -> Page:
    """List refunds, the newest first."""
    own = Row.objects.filter(organization_id=call.organization_id)
    rows = narrowed(own, call.organization_id, query)
    wanted: dict[str, Any] = {"id": query.id, "order_id": query.order_id}
    wanted["order__subscription_id"] = query.subscription_id
    for name, values in wanted.items():
        if values:
            rows = rows.filter(**{f"{name}__in": values})
    if query.customer_id or query.external_customer_id:
        rows = rows.filter(
            Q(order__customer_id__in=query.customer_id) | Q(order__customer__external_id__in=query.external_customer_id)
        )
    if query.succeeded is not None:
        rows = rows.filter(status="succeeded") if query.succeeded else rows.exclude(status="succeeded")
    rows = sorted_rows(rows, query.sorting, _SORTED_BY, ["-created_at"])
    return paginated(rows, query, refund_objects)


@endpoint(
    "POST",
    "refunds/",
    scope="refunds:write",
    status=201,
    body=RefundCreate,
    answer=Refund,
    example={"order_id": "0191f6f0-0000-7000-8000-000000000000", "reason": "customer_request", "amount": 500},
    keeping="afterwards",
)
def create_refund(call: Call, body: RefundCreate) -> Refund:
    """Give money of a paid order back, in part or whole.

    It has `succeeded` or `failed` when this answers, or is `pending` while the payment provider is away or has
    it under way; then the list of refunds tells.
    """
    row = refund_order(
        organization_id=call.organization_id,
        order_id=body.order_id,
        amount=body.amount,
        reason=body.reason,
        comment=body.comment or "",
        revoke_benefits=body.revoke_benefits,
        metadata=checked_metadata(body.metadata),
        actor=call.actor,
        at=call.at,
    )
    return refund_objects([row])[0]

"""Orders."""

from typing import Literal
from uuid import UUID

from django.db.models import Q

from billing.models import Order as Row
from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import ResourceNotFound
from billing_api.objects.orders import Order, order_objects
from billing_api.queries import Page, PageQuery, narrowed, paginated, sorted_rows
from billing_api.renewing import renew_named

_SORTED_BY = {"created_at": "created_at", "status": "status", "invoice_number": "invoice_number"}
_SORTED_BY |= dict.fromkeys(("amount", "net_amount", "total_amount"), "amount")
_SORTED_BY |= {"customer": "customer__email", "product": "product__name", "subscription": "subscription_id"}


class OrderQuery(PageQuery, kw_only=True):
    """Which orders."""

    customer_id: list[UUID] = []
    external_customer_id: list[str] = []
    product_id: list[UUID] = []
    product_billing_type: list[Literal["one_time", "recurring"]] = []
    checkout_id: list[UUID] = []
    subscription_id: list[UUID] = []


@endpoint("GET", "orders/", scope="orders:read", query=OrderQuery, answer=PageOf(Order))
def list_orders(call: Call, query: OrderQuery) -> Page:
    """List orders, the newest first."""
    renew_named(call, query.customer_id, query.external_customer_id)
    rows = narrowed(Row.objects.of(call.organization_id), call.organization_id, query)
    if query.customer_id or query.external_customer_id:
        rows = rows.filter(
            Q(customer_id__in=query.customer_id) | Q(customer__external_id__in=query.external_customer_id)
        )
    for name in ("product_id", "checkout_id", "subscription_id"):
        if wanted := getattr(query, name):
            rows = rows.filter(**{f"{name}__in": wanted})
    if len(set(query.product_billing_type)) == 1:
        rows = rows.filter(product__recurring_interval__isnull=query.product_billing_type[0] == "one_time")
    rows = sorted_rows(rows, query.sorting, _SORTED_BY, ["-created_at"])
    return paginated(rows, query, order_objects)


@endpoint("GET", "orders/{id}", scope="orders:read", answer=Order)
def get_order(call: Call, id: UUID) -> Order:
    """Get an order."""
    found = Row.objects.of(call.organization_id).filter(id=id).first()
    if found is None:
        raise ResourceNotFound()
    return order_objects([found])[0]

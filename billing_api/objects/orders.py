"""Orders as the wire shows them. Nothing is taxed or discounted here, and no fee is kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Prefetch, prefetch_related_objects

from billing.models import Order as Row
from billing.models import OrderItem as ItemRow
from billing.models import OrderStatus, RefundStatus
from billing.models import Refund as RefundRow
from billing_api.objects.catalogue import CURRENCY, ProductBase, product_base
from billing_api.objects.customers import Customer, customer_object
from billing_api.objects.subscriptions import SubscriptionBase, subscription_base


class OrderItem(msgspec.Struct, kw_only=True):
    """One line, cents."""

    id: UUID
    created_at: datetime
    modified_at: None = None
    label: str
    amount: int
    tax_amount: int = 0
    proration: bool = False
    product_price_id: UUID | None
    start_timestamp: datetime | None
    end_timestamp: datetime | None


class Order(msgspec.Struct, kw_only=True):
    """What a customer was billed at one time, cents."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    status: str
    paid: bool
    subtotal_amount: int
    discount_amount: int = 0
    net_amount: int
    tax_amount: int = 0
    total_amount: int
    applied_balance_amount: int = 0
    due_amount: int
    refunded_amount: int
    refunded_tax_amount: int = 0
    refundable_amount: int
    refundable_tax_amount: int = 0
    currency: str = CURRENCY
    billing_reason: str
    billing_name: str | None
    billing_address: dict[str, Any] | None
    invoice_number: str
    is_invoice_generated: bool = False
    receipt_number: str | None = None
    seats: int | None = None
    units: int | None = None
    customer_id: UUID
    user_id: UUID
    product_id: UUID | None
    discount_id: UUID | None = None
    subscription_id: UUID | None
    checkout_id: UUID | None
    metadata: dict[str, Any]
    platform_fee_amount: int = 0
    platform_fee_currency: str | None = None
    customer: Customer
    product: ProductBase | None
    discount: None = None
    subscription: SubscriptionBase | None
    items: list[OrderItem]
    description: str


class Refund(msgspec.Struct, kw_only=True):
    """Money of an order given back, cents."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    metadata: dict[str, Any]
    status: str
    reason: str
    amount: int
    tax_amount: int = 0
    currency: str = CURRENCY
    organization_id: UUID
    order_id: UUID
    subscription_id: UUID | None
    customer_id: UUID
    revoke_benefits: bool
    dispute: None = None


def order_objects(rows: Sequence[Row]) -> list[Order]:
    """The orders with all that hangs on them, asked for once for all."""
    under_way = RefundRow.objects.filter(status=RefundStatus.PENDING)
    of_refunds = Prefetch("refunds", under_way, to_attr="refunds_under_way")
    prefetch_related_objects(list(rows), "customer", "product", "subscription", "items", of_refunds)
    return list(map(_order, rows))


def _order(row: Row) -> Order:
    is_paid = row.status != OrderStatus.PENDING
    given = row.refunded_amount + sum(refund.amount for refund in row.refunds_under_way)  # type: ignore[attr-defined]
    return Order(
        id=row.id,
        created_at=row.created_at,
        modified_at=row.modified_at,
        status=row.status,
        paid=is_paid,
        subtotal_amount=row.amount,
        net_amount=row.amount,
        total_amount=row.amount,
        due_amount=0 if is_paid else row.amount,
        refunded_amount=row.refunded_amount,
        refundable_amount=row.amount - given if is_paid else 0,
        billing_reason=row.billing_reason,
        billing_name=row.billing_name or None,
        billing_address=row.billing_address,
        invoice_number=row.invoice_number,
        customer_id=row.customer_id,
        user_id=row.customer_id,
        product_id=row.product_id,
        subscription_id=row.subscription_id,
        checkout_id=row.checkout_id,
        metadata=row.metadata,
        customer=customer_object(row.customer),
        product=product_base(row.product),
        subscription=subscription_base(row.subscription) if row.subscription else None,
        items=list(map(_item, row.items.all())),
        description=row.product.name,
    )


def _item(row: ItemRow) -> OrderItem:
    return OrderItem(
        id=row.id,
        created_at=row.created_at,
        label=row.label,
        amount=row.amount,
        product_price_id=row.price_id,
        start_timestamp=row.start_at,
        end_timestamp=row.end_at,
    )


def refund_objects(rows: Sequence[RefundRow]) -> list[Refund]:
    """The refunds as the wire shows them."""
    prefetch_related_objects(list(rows), "order")
    return [
        Refund(
            id=row.id,
            created_at=row.created_at,
            modified_at=row.modified_at,
            metadata=row.metadata,
            status=row.status,
            reason=row.reason,
            amount=row.amount,
            organization_id=row.organization_id,
            order_id=row.order_id,
            subscription_id=row.order.subscription_id,
            customer_id=row.order.customer_id,
            revoke_benefits=row.revoke_benefits,
        )
        for row in rows
    ]

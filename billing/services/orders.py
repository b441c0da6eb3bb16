"""Orders: what a customer is billed. The customer is locked by the caller."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.principal import Actor
from billing.announcing import announce, record_event
from billing.models import (
    Charge,
    Customer,
    CustomerSubscription,
    Order,
    OrderItem,
    OrderStatus,
    PriceKind,
    Product,
    ProductPrice,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order; ``consumed`` and ``credited`` of a metered one."""

    label: str
    amount: int
    price: ProductPrice | None = None
    consumed: Decimal | None = None
    credited: int | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


def fixed_lines(product: Product, prices: Sequence[ProductPrice]) -> list[Line]:
    """The lines of what is paid ahead."""
    return [
        Line(product.name, price.price_amount or 0, price) for price in prices if price.kind != PriceKind.METERED_UNIT
    ]


def place_order(
    customer: Customer,
    product: Product,
    lines: Sequence[Line],
    *,
    billing_reason: str,
    actor: Actor | str,
    at: datetime,
    is_paid: bool,
    **fields: Any,
) -> Order:
    """An order with the customer's next number. One without an amount is paid at once."""
    customer.invoices += 1
    customer.save(update_fields=["invoices"])
    amount = sum(line.amount for line in lines)
    order = Order.objects.create(
        organization_id=customer.organization_id,
        customer=customer,
        product=product,
        status=OrderStatus.PENDING,
        billing_reason=billing_reason,
        amount=amount,
        invoice_number=f"{customer.id.hex[-12:].upper()}-{customer.invoices:04d}",
        billing_name=customer.billing_name or customer.name,
        billing_address=customer.billing_address,
        created_at=at,
        **fields,
    )
    _add_items(order, lines, at)
    _announce(order, "order.created", actor, at)
    if is_paid or not amount:
        mark_order_paid(order, customer, actor=actor, at=at)
    return order


def _add_items(order: Order, lines: Sequence[Line], at: datetime) -> None:
    OrderItem.objects.bulk_create(
        OrderItem(
            order=order,
            price=line.price,
            label=line.label[:300],
            amount=line.amount,
            consumed=line.consumed,
            credited=line.credited,
            start_at=line.start_at,
            end_at=line.end_at,
            position=place,
            created_at=at,
        )
        for place, line in enumerate(lines)
    )


def mark_order_paid(order: Order, customer: Customer, *, actor: Actor | str, at: datetime) -> None:
    """The money is there. Saying so again changes nothing."""
    if order.status != OrderStatus.PENDING:
        return
    order.status, order.paid_at, order.modified_at = OrderStatus.PAID, at, at
    order.save(update_fields=["status", "paid_at", "modified_at"])
    record_event(
        "order.paid",
        customer,
        at=at,
        order_id=order.id,
        amount=order.amount,
        currency="usd",
        product_id=order.product_id,
        billing_type="recurring" if order.subscription_id else "one_time",
    )
    _announce(order, "order.paid", actor, at)


def owe(order: Order, customer: Customer, provider: str, *, at: datetime) -> Charge:
    """Have the order charged to what the customer has saved, from now on."""
    return Charge.objects.create(
        organization_id=order.organization_id,
        customer=customer,
        order=order,
        amount=order.amount,
        provider=provider,
        retry_at=at,
        created_at=at,
    )


def subscription_of(order: Order) -> CustomerSubscription | None:
    """The order's subscription as it is now."""
    if order.subscription_id is None:
        return None
    return CustomerSubscription.objects.get(pk=order.subscription_id)


def _announce(order: Order, type: str, actor: Actor | str, at: datetime) -> None:
    announce(type, organization_id=order.organization_id, actor=actor, at=at, order_id=order.id)

"""The order of locks: the organization's usage where a window is cut, a checkout, its customer, the customer's rows.

The customer's is the one lock for all that is his: subscriptions, grants, meters, orders.
"""

from datetime import datetime
from uuid import UUID

from billing.models import Checkout, Customer, PriceKind, ProductPrice
from core.errors import NotFound
from metering.services import cut_off_usage


def cut_for(product_id: UUID, organization_id: UUID, at: datetime) -> None:
    """Before anybody subscribes to a product that is metered: what was received until ``at`` is complete."""
    metered = ProductPrice.objects.filter(product_id=product_id, kind=PriceKind.METERED_UNIT, is_archived=False)
    if metered.exists():
        cut_off_usage(organization_id=organization_id, at=at)


def lock_customer(customer_id: UUID, *, skip_locked: bool = False) -> Customer:
    """The customer, also a deleted one, until the transaction ends. Raises NotFound, also for one that is skipped."""
    rows = Customer.objects.select_for_update(no_key=True, skip_locked=skip_locked)
    customer = rows.filter(pk=customer_id).first()
    if customer is None:
        raise NotFound("There is no such customer, or somebody is busy with it.")
    return customer


def lock_checkout(client_secret: str, *, cut_at: datetime | None = None) -> Checkout:
    """The checkout until the transaction ends; ``cut_at``: what is chosen on it may begin then. Raises NotFound."""
    rows = Checkout.objects.filter(client_secret=client_secret)
    if cut_at is not None and (seen := rows.first()) is not None:
        cut_for(seen.product_id, seen.organization_id, cut_at)
    checkout = rows.select_for_update(no_key=True).first()
    if checkout is None:
        raise NotFound("There is no such checkout.")
    return checkout

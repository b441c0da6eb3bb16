"""Whose events a question is about."""

from dataclasses import dataclass
from uuid import UUID

from metering.meters.compiling import Binder


@dataclass(frozen=True, slots=True)
class CustomerRef:
    """A customer of an organization by our id, its own, or both: an event is his when it names either."""

    customer_id: UUID | None = None
    external_id: str | None = None


def customer_condition(customer: CustomerRef | None, bind: Binder) -> str:
    """The customer's events as SQL; all events when there is no customer, none for one without any id."""
    if customer is None:
        return "true"
    named = []
    if customer.customer_id is not None:
        named.append(f"e.customer_id = {bind.bind(str(customer.customer_id), 'uuid')}")
    if customer.external_id is not None:
        named.append(f"e.external_customer_id = {bind.bind(customer.external_id, 'text')}")
    return f"({' OR '.join(named)})" if named else "false"

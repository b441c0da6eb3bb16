"""Telling what happened: domain events (webhooks are made from them), system events, changes of state."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts.principal import Actor
from billing.models import Customer, StateNotice, SystemEvent
from outbox.services import publish

# Changes of one customer's state are gathered for so long and told once.
GATHERING = timedelta(seconds=2)


def announce(type: str, *, organization_id: UUID, actor: Actor | str, at: datetime, **ids: Any) -> None:
    """A fact in the words of the wire (``order.paid``), with ids only; published as ``billing.<type>``."""
    publish(type=f"billing.{type}", organization_id=organization_id, data=ids, actor=actor, at=at)


def record_event(name: str, customer: Customer, *, at: datetime, **metadata: Any) -> None:
    """List ``name`` among the customer's events, beside the usage that the merchant sends."""
    SystemEvent.objects.create(
        organization_id=customer.organization_id,
        customer_id=customer.id,
        external_customer_id=customer.external_id,
        name=name,
        occurred_at=at,
        received_at=at,
        metadata={key: str(value) if isinstance(value, UUID) else value for key, value in metadata.items()},
    )


def note_state_change(customers: Iterable[tuple[UUID, UUID]], *, at: datetime) -> None:
    """Have it told soon that the state of these (customer, organization) has changed.

    A row that is there already is locked until the caller commits, so that nobody tells of the state before this
    change is part of it; the first change decides when.
    """
    notices = [
        StateNotice(customer_id=customer_id, organization_id=organization_id, due_at=at + GATHERING)
        for customer_id, organization_id in sorted(set(customers))
    ]
    if notices:
        StateNotice.objects.bulk_create(
            notices, update_conflicts=True, unique_fields=["customer"], update_fields=["organization_id"]
        )

"""Telling that customers of organizations have used something: who bills them is further right and registers here."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Protocol
from uuid import UUID

from metering.models import UsageEvent
from metering.records import UsageOutcome, UsageRecord

Use = UsageRecord | UsageEvent


class Listener(Protocol):
    """Called in the transaction of the usage, last of all, with the customers' ids as they were reported."""

    def __call__(
        self, *, organization_id: UUID, customer_ids: Collection[UUID], external_ids: Collection[str], at: datetime
    ) -> None:
        """Hear of one organization's customers."""


_listeners: list[Listener] = []


def on_customers_usage(listener: Listener) -> Listener:
    """Have ``listener`` hear of it when what customers have used is recorded, voided or corrected."""
    if listener not in _listeners:
        _listeners.append(listener)
    return listener


def names_customers(uses: Iterable[Use]) -> bool:
    """Whether anybody has to be told of these."""
    return any(use.customer_id is not None or use.external_customer_id is not None for use in uses)


def tell_of_usage(uses: Iterable[Use], *, at: datetime) -> None:
    """Tell whose use it was, organization by organization; call it last in the transaction, for listeners lock."""
    named = sorted(filter(lambda use: names_customers([use]), uses), key=lambda use: use.organization_id)
    for organization_id, theirs in groupby(named, key=lambda use: use.organization_id):
        their_uses = list(theirs)
        for listener in _listeners:
            listener(
                organization_id=organization_id,
                customer_ids={use.customer_id for use in their_uses if use.customer_id is not None},
                external_ids={use.external_customer_id for use in their_uses if use.external_customer_id is not None},
                at=at,
            )


def recorded(records: Sequence[UsageRecord], outcomes: Sequence[UsageOutcome]) -> list[UsageRecord]:
    """Those of ``records`` that were new."""
    return [record for record, outcome in zip(records, outcomes, strict=True) if outcome.status == "recorded"]

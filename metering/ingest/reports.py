"""Requests on their way into the books: many are priced and recorded together, each event ends on its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from django.db import connection, transaction

from core.errors import DomainError
from core.money import ZERO
from metering.customer_news import names_customers, recorded, tell_of_usage
from metering.ingest.decode import Decoded
from metering.ingest.pricing import record_of
from metering.ingest.reporter import Reporter
from metering.metered.steps import charged_by_meters
from metering.models import UsageEvent
from metering.records import UsageOutcome, UsageRecord
from metering.refusals import refusal_of
from metering.services import record_usage
from tiers.querysets import terms_for
from tiers.terms import TierTerms

MOST_IN_A_STATEMENT = 2_000


@dataclass(slots=True, frozen=True)
class Ending:
    """How one event ended; amounts in USD. ``status``: recorded, duplicate, or refused with an ``error``.

    ``charge`` is what credit paid: cost and markup, and what the tier's meters took.
    """

    status: str
    external_id: str | None
    event_id: UUID | None = None
    cost: Decimal = ZERO
    markup: Decimal = ZERO
    charge: Decimal = ZERO
    cost_source: str = "none"
    available: Decimal | None = None  # after it; of the wallet that was charged
    settled: bool = False  # a hold paid, before any other charge of its batch
    error: DomainError | None = None


Priced = UsageRecord | DomainError


class Report:
    """The events of one request, priced once: a repetition after a lost connection records the same ids."""

    def __init__(self, reporter: Reporter, events: Sequence[Decoded], at: datetime) -> None:
        self.reporter = reporter
        self.events = events
        self.at = at
        self.was_tried = False  # to record it: perhaps it was, and only the answer got lost
        self._priced: list[Priced] | None = None

    def price(self) -> list[Priced]:
        """Each event priced or refused. Raises NoTier."""
        if self._priced is None:
            terms = terms_for(self.reporter.organization_id)
            self._priced = [self._price(event, terms) for event in self.events]
        return self._priced

    def _price(self, event: Decoded, terms: TierTerms) -> Priced:
        if isinstance(event, DomainError):
            return event
        try:
            return record_of(event, self.reporter, terms, at=self.at)
        except DomainError as refusal:
            return refusal


def record_reports(reports: Sequence[Report]) -> list[list[Ending]]:
    """Price and record the events of all ``reports``, in as few statements as their number allows.

    Safe to run again with the same reports.
    """
    priced = [report.price() for report in reports]
    outcomes: dict[UUID, UsageOutcome] = {}
    for report, entries in zip(reports, priced, strict=True):
        if report.was_tried:
            outcomes |= _recorded_before(entries)
        report.was_tried = True
    records = [record for entries in priced for record in entries if isinstance(record, UsageRecord)]
    fresh = [record for record in records if record.id not in outcomes]
    at = max(report.at for report in reports)
    together = _most_together(len(fresh))
    for start in range(0, len(fresh), together):
        chunk = fresh[start : start + together]
        for record, outcome in zip(chunk, _record(chunk, at), strict=True):
            outcomes[record.id] = outcome
    firsts = _first_events(outcomes, records)
    return [[_ending(entry, outcomes, firsts) for entry in entries] for entries in priced]


def _most_together(events: int) -> int:
    """How many of so many events a statement may take.

    Each takes its locks in one order. Within a transaction all go into one: what a first statement has locked would be
    held while a second one begins anew, and two such transactions could wait for each other.
    """
    return max(events, 1) if connection.in_atomic_block else MOST_IN_A_STATEMENT


def _record(records: Sequence[UsageRecord], at: datetime) -> list[UsageOutcome]:
    """Record them, and in the same transaction tell who bills the customers that they name."""
    if not names_customers(records):
        return _record_once(records, at)
    with transaction.atomic():
        outcomes = _record_once(records, at)
        tell_of_usage(recorded(records, outcomes), at=at)
        return outcomes


def _record_once(records: Sequence[UsageRecord], at: datetime) -> list[UsageOutcome]:
    """Record them; an id whose first event was known by how it was written is asked for again by that."""
    outcomes = record_usage(records, at=at)
    doubtful = [
        (place, record)
        for place, (record, outcome) in enumerate(zip(records, outcomes, strict=True))
        if outcome.status == "key_reused" and record.exact_hash is not None
    ]
    if doubtful:  # their ids are taken, so nothing can be recorded by asking
        again = [msgspec.structs.replace(record, content_hash=record.exact_hash) for _, record in doubtful]
        for (place, _), outcome in zip(doubtful, record_usage(again, at=at), strict=True):
            outcomes[place] = outcome
    return outcomes


def _recorded_before(entries: Iterable[Priced]) -> dict[UUID, UsageOutcome]:
    """Events without an id of the caller's that a first attempt has recorded: nothing else would recognise them."""
    unnamed = [record for record in entries if isinstance(record, UsageRecord) and record.external_id is None]
    if not unnamed:
        return {}
    known = UsageEvent.objects.filter(
        organization_id=unnamed[0].organization_id,
        id__in=[record.id for record in unnamed],
        occurred_at__in={record.occurred_at for record in unnamed},
    )
    ids = known.values_list("id", flat=True)
    return {event_id: UsageOutcome(status="duplicate", event_id=event_id) for event_id in ids}


def _first_events(
    outcomes: dict[UUID, UsageOutcome], records: Sequence[UsageRecord]
) -> dict[UUID, tuple[UsageEvent, Decimal]]:
    """What was recorded first under the ids of repeated events, with all that credit paid for it."""
    repeated = [record for record in records if outcomes[record.id].status == "duplicate"]
    if not repeated:
        return {}
    organizations = {record.organization_id for record in repeated}
    ids = [outcomes[record.id].event_id for record in repeated]
    events = UsageEvent.objects.filter(organization_id__in=organizations, id__in=ids)
    metered = charged_by_meters(organizations, ids) if any(record.metered for record in repeated) else {}
    return {
        event.id: (event, event.charge + metered.get(event.id, ZERO))
        for event in events.only("id", "provider_cost", "markup", "charge", "cost_source")
    }


def _ending(
    entry: Priced, outcomes: dict[UUID, UsageOutcome], firsts: dict[UUID, tuple[UsageEvent, Decimal]]
) -> Ending:
    if isinstance(entry, DomainError):
        return Ending("refused", None, error=entry)
    outcome = outcomes[entry.id]
    if not outcome.is_known:
        return Ending("refused", entry.external_id, error=refusal_of(entry, outcome))
    event: UsageRecord | UsageEvent = entry
    charge = outcome.charged
    if outcome.status == "duplicate":
        event, charge = firsts[outcome.event_id]
    return Ending(
        "recorded" if outcome.event_id == entry.id else outcome.status,  # a repetition may find itself
        entry.external_id,
        event_id=outcome.event_id,
        cost=event.provider_cost,
        markup=event.markup,
        charge=charge,
        cost_source=event.cost_source,
        available=outcome.available,
        settled=entry.hold_id is not None,
    )

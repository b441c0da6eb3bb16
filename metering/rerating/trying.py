"""The trial of a re-rating: organization by organization, each in a transaction of its own, so that one that was
stopped goes on where it stood."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet, Sum

from accounts.models import Organization
from core.money import ZERO, to_wire
from credits.models import LedgerEntry
from metering.models import UsageDay, UsageEvent
from metering.prices import PriceCard
from metering.rerating.models import ReratedEvent, Rerating, ReratingStatus
from metering.rerating.rating import RATED, rerated

_CHUNK = 500


def usage_of(rerating: Rerating) -> int:
    """About how many events a trial looks at, by the daily sums."""
    found: int | None = _days(rerating).aggregate(events=Sum("events"))["events"]
    return found or 0


def try_next(rerating_id: UUID) -> bool:
    """Look through the next organization; False when none is left, or somebody else is at it."""
    with transaction.atomic():
        rows = Rerating.objects.select_for_update(of=("self",), skip_locked=True).select_related("price")
        rerating = rows.filter(pk=rerating_id, status=ReratingStatus.TRYING).first()
        if rerating is None:
            return False
        owner = _next_organization(rerating)
        if owner is None:
            _end(rerating)
        else:
            _list_events(rerating, owner)
        return owner is not None


def _next_organization(rerating: Rerating) -> Organization | None:
    concerned = Organization.objects.filter(id__in=_days(rerating).values("organization_id")).order_by("id")
    if rerating.tried_to is not None:
        concerned = concerned.filter(id__gt=rerating.tried_to)
    return concerned.first()


def _list_events(rerating: Rerating, owner: Organization) -> None:
    card = PriceCard.from_json(rerating.pricing)
    row: dict[str, Any] = {"events": 0, "before": ZERO, "after": ZERO}
    for each in _changes(rerating, owner.pk, card):
        row["events"] += 1
        row["before"] += each.before
        row["after"] += each.after
    if row["events"]:
        rerating.report.append(_wire({"organization_id": owner.pk, "name": owner.name, **row}))
    rerating.tried_to = owner.pk
    rerating.examined += _days(rerating).filter(organization=owner).aggregate(events=Sum("events"))["events"] or 0
    rerating.expected += row["events"]
    rerating.difference += row["after"] - row["before"]
    rerating.save(update_fields=["report", "tried_to", "examined", "expected", "difference"])


def _end(rerating: Rerating) -> None:
    rerating.report.sort(key=lambda row: (-abs(Decimal(row["difference"])), row["name"]))
    rerating.status = ReratingStatus.TRIED
    rerating.save(update_fields=["report", "status"])


def _days(rerating: Rerating) -> QuerySet[UsageDay]:
    return UsageDay.objects.filter(
        model=rerating.price.model_id, day__gte=rerating.starts_at.date(), day__lte=rerating.ends_at.date()
    )


def _changes(rerating: Rerating, organization_id: UUID, card: PriceCard) -> Iterator[ReratedEvent]:
    """The events of an organization that would cost something else, kept as they are found."""
    found: list[ReratedEvent] = []
    for event in _events(rerating, organization_id).iterator(chunk_size=_CHUNK):
        answer = rerated(event, card)
        if answer is None or (answer[1].charge, answer[1].cost) == (event.charge, event.provider_cost):
            continue
        row = ReratedEvent(
            rerating=rerating,
            organization_id=organization_id,
            event_id=event.id,
            occurred_at=event.occurred_at,
            before=event.charge,
            after=answer[1].charge,
        )
        found.append(row)
        yield row
        if len(found) >= _CHUNK:
            ReratedEvent.objects.bulk_create(found)
            found = []
    ReratedEvent.objects.bulk_create(found)


def _events(rerating: Rerating, organization_id: UUID) -> Any:
    return (
        UsageEvent.objects.filter(
            organization_id=organization_id,
            occurred_at__gte=rerating.starts_at,
            occurred_at__lt=rerating.ends_at,
            price_id=rerating.price_id,
            cost_source__in=RATED,
            voided_at__isnull=True,
        )
        .exclude(Exists(given_back(OuterRef("entry_id"))))
        .order_by("occurred_at", "id")
    )


def given_back(entry_id: Any) -> Any:
    """What was given back of a charge."""
    return LedgerEntry.objects.filter(reverses_id=entry_id)


def _wire(row: Mapping[str, Any]) -> dict[str, Any]:
    amounts = {"before": row["before"], "after": row["after"], "difference": row["after"] - row["before"]}
    return {
        "organization_id": str(row["organization_id"]),
        "name": row["name"],
        "events": row["events"],
        **{name: to_wire(amount) for name, amount in amounts.items()},
    }

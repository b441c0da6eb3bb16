"""Writing a period's statement, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from core.money import to_wire
from credits.models import Statement
from credits.statements.lines import Range, Sums, sum_ranges
from credits.statements.usage import explain_usage
from outbox.services import Fact, publish_batch


@dataclass(slots=True, frozen=True)
class StatementRequest:
    """A period [starts_at, ends_at) that is over; ``title`` names the tier, ``zone`` is where its dates are shown."""

    organization_id: UUID
    starts_at: datetime
    ends_at: datetime
    title: str = ""
    zone: str = "UTC"


@transaction.atomic
def write_statements(requests: Sequence[StatementRequest], *, at: datetime) -> list[Statement]:
    """The statement of each period; one that exists is answered as it is, and never written again.

    The caller sees to it that nothing can be posted any more that counts from before the end, and that one
    organization's statements are written in order and by one writer at a time. At most one request an organization.
    """
    known = _known(requests)
    fresh = [each for each in requests if (each.organization_id, each.starts_at) not in known]
    ranges = [Range(each.organization_id, each.starts_at, each.ends_at) for each in fresh]
    sums = sum_ranges(ranges)
    usage = explain_usage(ranges, sums)
    numbers = _last_numbers(fresh)
    made = Statement.objects.bulk_create(
        Statement(
            organization_id=request.organization_id,
            number=numbers.get(request.organization_id, 0) + 1,
            title=request.title,
            zone=request.zone,
            starts_at=request.starts_at,
            ends_at=request.ends_at,
            opening=figures.opening,
            closing=figures.closing,
            overage=figures.overage,
            lines=stored_lines(figures),
            usage=detail,
            written_at=at,
        )
        for request, figures, detail in zip(fresh, sums, usage, strict=True)
    )
    publish_batch([_ready(statement) for statement in made], actor="period close", at=at)
    known |= {(each.organization_id, each.starts_at): each for each in made}
    return [known[each.organization_id, each.starts_at] for each in requests]


def stored_lines(sums: Sums) -> list[dict[str, str]]:
    """The lines as JSON keeps them."""
    return [{"code": code, "amount": to_wire(amount)} for code, amount in sums.lines.items()]


def _known(requests: Sequence[StatementRequest]) -> dict[tuple[UUID, datetime], Statement]:
    written = Statement.objects.filter(
        organization__in={each.organization_id for each in requests},
        starts_at__in={each.starts_at for each in requests},
    )
    return {(each.organization_id, each.starts_at): each for each in written}


def _last_numbers(requests: Sequence[StatementRequest]) -> dict[UUID, int]:
    organizations = {each.organization_id for each in requests}
    numbers = Statement.objects.filter(organization__in=organizations).values_list("organization_id")
    return dict(numbers.annotate(Max("number")))


def _ready(statement: Statement) -> Fact:
    facts = {
        "statement_id": statement.id,
        "number": statement.number,
        "starts_at": statement.starts_at,
        "ends_at": statement.ends_at,
        "opening": statement.opening,
        "closing": statement.closing,
        "overage": statement.overage,
    }
    return Fact("statement.ready", statement.organization_id, facts)

"""What coupons brought: how often they were used, what they gave, and who bought something afterwards."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import BooleanField, Count, ExpressionWrapper, OuterRef, Q, QuerySet, Subquery, Sum

from core.money import ZERO
from coupons.models import Redemption
from coupons.purchases import bought_since
from payments.models import Payment, Status


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sums over some redemptions, in USD. ``label`` says of which."""

    label: str
    uses: int
    organizations: int
    credits: Decimal  # granted at once
    discounts: Decimal  # taken off payments that were made
    payments: int  # that were made with a discount
    won: int  # organizations that had bought nothing before, and have since


def statistics_of(redemptions: QuerySet[Redemption], label: str = "") -> Statistics:
    """The sums over all of ``redemptions``; one query."""
    return _statistics(label, _annotated(redemptions).aggregate(**_SUMS))


def statistics_by(redemptions: QuerySet[Redemption], field: str) -> list[Statistics]:
    """The sums for each value of ``field``, the most used first; one query."""
    grouped = _annotated(redemptions).values(field).annotate(**_SUMS).order_by("-uses_", field)
    return [_statistics(row[field], row) for row in grouped]


_SUMS: dict[str, Any] = {
    "uses_": Count("id"),
    "organizations_": Count("organization_id", distinct=True),
    "credits_": Sum("credits"),
    "discounts_": Sum("saved"),
    "payments_": Sum("paid"),
    "won_": Count("organization_id", distinct=True, filter=Q(had_purchased=False, bought=True)),
}


def _annotated(redemptions: QuerySet[Redemption]) -> QuerySet[Any]:
    paid = Payment.objects.filter(discount_used_id=OuterRef("discount_id"), status=Status.SUCCEEDED)
    made = paid.order_by().values("discount_used_id")
    return redemptions.order_by().annotate(
        saved=Subquery(made.annotate(sum=Sum("discount")).values("sum")),
        paid=Subquery(made.annotate(count=Count("id")).values("count")),
        bought=ExpressionWrapper(bought_since("organization_id", "redeemed_at"), output_field=BooleanField()),
    )


def _statistics(label: Any, row: dict[str, Any]) -> Statistics:
    return Statistics(
        label=str(label),
        uses=row["uses_"],
        organizations=row["organizations_"],
        credits=row["credits_"] or ZERO,
        discounts=row["discounts_"] or ZERO,
        payments=row["payments_"] or 0,
        won=row["won_"],
    )

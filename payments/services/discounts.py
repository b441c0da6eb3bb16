"""Percentages off the next payments."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from core.errors import InvalidRequest, KeyReused
from outbox.services import publish
from payments.models import Discount, DiscountTarget, Payment, Purpose

_TARGETS = {
    Purpose.SUBSCRIPTION: (DiscountTarget.SUBSCRIPTION, DiscountTarget.ANY),
    Purpose.SWITCH: (DiscountTarget.SUBSCRIPTION, DiscountTarget.ANY),
    Purpose.CREDITS: (DiscountTarget.CREDITS, DiscountTarget.ANY),
    Purpose.TOP_UP: (DiscountTarget.CREDITS, DiscountTarget.ANY),
    Purpose.OVERAGE: (DiscountTarget.ANY,),
}


@transaction.atomic
def add_discount(
    *,
    organization_id: UUID,
    percent: Decimal,
    applies_to: str,
    uses: int | None,
    key: str,
    source: str,
    at: datetime,
    ends_at: datetime | None = None,
    actor: str = "",
) -> Discount:
    """Take ``percent`` off the next ``uses`` payments (None: all) asked for from ``at`` until ``ends_at``.

    Replaying ``key`` with the same terms returns the first discount. Raises InvalidRequest, KeyReused.
    """
    _check(percent, applies_to, uses, at, ends_at)
    terms = {"percent": percent, "applies_to": applies_to, "source": source, "ends_at": ends_at}
    try:
        with transaction.atomic():
            discount = Discount.objects.create(
                organization_id=organization_id, key=key, uses_left=uses, starts_at=at, created_at=at, **terms
            )
    except IntegrityError:
        first = Discount.objects.filter(organization_id=organization_id, key=key).first()
        if first is None:
            raise
        if any(getattr(first, name) != value for name, value in terms.items()):
            raise KeyReused(key=key) from None
        return first
    facts = {"discount_id": discount.id, "percent": percent, "applies_to": applies_to, "uses": uses, "source": source}
    publish(type="discount.added", organization_id=organization_id, data=facts, actor=actor or source, at=at)
    return discount


def consume_discount(payment: Payment, at: datetime) -> Discount | None:
    """Use the best discount that fits the payment, once; None without one."""
    fitting = Discount.objects.filter(
        organization_id=payment.organization_id, applies_to__in=_TARGETS[Purpose(payment.purpose)]
    )
    # Whoever waited for a lock sees the uses that are left then; rows without one drop out.
    locked = list(fitting.usable(at).select_for_update())
    if not locked:
        return None
    discount = locked[0]
    if discount.uses_left is not None:
        discount.uses_left -= 1
        discount.save(update_fields=["uses_left"])
    return discount


def give_back_discount(payment: Payment) -> None:
    """Return the use that the payment took; it bought nothing."""
    if payment.discount_used_id is None:
        return
    Discount.objects.filter(id=payment.discount_used_id, uses_left__isnull=False).update(uses_left=F("uses_left") + 1)


def _check(percent: Decimal, applies_to: str, uses: int | None, at: datetime, ends_at: datetime | None) -> None:
    if not percent.is_finite() or not 0 < percent <= 100 or percent != round(percent, 2):
        raise InvalidRequest("The percentage must be above 0, at most 100, with at most two places.")
    if applies_to not in DiscountTarget.values:
        raise InvalidRequest(f"Unknown kind of payment {applies_to!r}; use one of {', '.join(DiscountTarget.values)}.")
    if uses is not None and uses < 1:
        raise InvalidRequest("A discount needs at least one use.")
    if ends_at is not None and ends_at <= at:
        raise InvalidRequest("The discount would end before it starts.")

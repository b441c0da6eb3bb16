"""Builders of coupons and of those who redeem them."""

from datetime import datetime
from typing import Any

from accounts.models import Organization
from accounts.principal import Actor
from core.money import to_wire
from coupons.models import Coupon, Redemption
from coupons.services import create_coupon, redeem_coupon
from coupons.terms import Limits, Terms
from credits.models import CreditAccount, LedgerEntry
from outbox.models import DomainEvent
from tests.builders import NOON, usd

ACTOR = Actor("operator@example.com")
_LIMITS = set(Limits.__slots__)


def make_terms(**fields: Any) -> Terms:
    """Ten dollars of bonus credit unless ``fields`` say otherwise; limits and effect are told apart by their names."""
    fields.setdefault("kind", "bonus")
    if fields["kind"] == "bonus":
        fields.setdefault("amount", "10")
    for name in ("amount", "percent"):
        if isinstance(fields.get(name), str):
            fields[name] = usd(fields[name])
    limits = {name: fields.pop(name) for name in _LIMITS & set(fields)}
    return Terms(**fields, limits=Limits(**limits))


def make_coupon(code: str | None = "WELCOME10", *, at: datetime = NOON, mode: str = "live", **fields: Any) -> Coupon:
    return create_coupon(code=code, terms=make_terms(**fields), actor=ACTOR, at=at, mode=mode)


def redeem(organization: Organization, code: str = "WELCOME10", *, at: datetime = NOON, **options: Any) -> Redemption:
    return redeem_coupon(organization_id=organization.id, code=code, actor=ACTOR, at=at, **options)


def books(organization: Organization) -> tuple[str, int, int, int, int]:
    """All that a redemption could move: balance, entries, redemptions, facts told, uses taken of any coupon."""
    account = CreditAccount.objects.get(pk=organization.pk)
    return (
        to_wire(account.balance),
        LedgerEntry.objects.filter(account=account).count(),
        Redemption.objects.count(),
        DomainEvent.objects.count(),
        sum(Coupon.objects.values_list("uses", flat=True)),
    )

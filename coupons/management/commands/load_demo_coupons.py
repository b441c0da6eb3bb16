"""``manage.py load_demo_coupons``: coupons to try, with a few redemptions; once, safe to run again."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Mode, Organization
from accounts.principal import Actor
from core.errors import DomainError
from coupons.models import AppliesTo, Coupon, CouponBatch, Kind
from coupons.services import create_coupon, generate_batch, redeem_coupon
from coupons.terms import Limits, Terms
from tiers.models import Tier

_LOCK = 0x636F7570  # "coup"
ACTOR = Actor("demo data")
_DAY = timedelta(days=1)
_LENT = "professional"


class Command(BaseCommand):
    """Makes one coupon of each kind, a partner's batch, one that is used up and one that is over."""

    help = "Load demo coupons and redeem some of them for the organizations that are there."

    def handle(self, *args: Any, **options: Any) -> None:
        """All of it or nothing."""
        with transaction.atomic():
            _wait_for_others()
            if Coupon.objects.filter(code="FREEMONTH", mode=Mode.LIVE).exists():
                self.stdout.write("The demo coupons are there already.")
                return
            now = timezone.now()
            batch = _make_coupons(now)
            count = _redeem_some(batch, now)
        self.stdout.write(f"Demo coupons: {Coupon.objects.count()}, redeemed {count} times.")


def _wait_for_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _make_coupons(now: datetime) -> CouponBatch:
    month_ago = now - 30 * _DAY
    welcome = Terms(Kind.BONUS.value, amount=Decimal(10), credit_days=90, note="Newsletter and sign-up page")
    _make("FREEMONTH", Terms(Kind.FREE_PERIOD.value, periods=1, note="For those who come back"), month_ago)
    _make("WELCOME10", welcome, month_ago)
    _make("WELCOME10", welcome, month_ago, mode=Mode.TEST)
    early = Limits(max_uses=100, ends_at=now + 60 * _DAY, first_purchase_only=True)
    _make("EARLYBIRD", _percent("20", AppliesTo.SUBSCRIPTION, 3, early, "Before the price goes up"), month_ago)
    if Tier.objects.current().filter(slug=_LENT).exists():
        lent = Terms(Kind.TIER.value, tier_slug=_LENT, periods=1, partner="Northstar Accelerator", note="Cohort 7")
        _make("NORTHSTAR-PRO", lent, month_ago)
    launch = Terms(Kind.BONUS.value, amount=Decimal(5), limits=Limits(max_uses=2), note="First two at the launch")
    _make("LAUNCH5", launch, month_ago)
    over = Limits(starts_at=now - 90 * _DAY, ends_at=now - 60 * _DAY)
    _make("SPRING25", _percent("25", AppliesTo.CREDITS, 1, over, "Spring sale"), now - 90 * _DAY)
    each = Terms(
        Kind.BONUS.value, amount=Decimal(5), limits=Limits(max_uses=1), partner="Harbour Meetup", note="Badges"
    )
    return generate_batch(prefix="HARBOUR", count=25, terms=each, actor=ACTOR, at=month_ago)


def _make(code: str, terms: Terms, at: datetime, mode: str = Mode.LIVE) -> None:
    create_coupon(code=code, terms=terms, actor=ACTOR, at=at, mode=mode)


def _percent(percent: str, applies_to: AppliesTo, payments: int, limits: Limits, note: str) -> Terms:
    return Terms(
        Kind.PERCENT.value,
        percent=Decimal(percent),
        applies_to=applies_to.value,
        periods=payments,
        limits=limits,
        note=note,
    )


def _redeem_some(batch: CouponBatch, now: datetime) -> int:
    """By the oldest organizations in turn; what one of them may not redeem it does not."""
    customers = list(Organization.objects.filter(mode=Mode.LIVE).order_by("created_at", "id")[:3])
    badges = list(batch.coupons.order_by("code").values_list("code", flat=True)[:2])
    wishes = [
        *[(customer, "WELCOME10") for customer in customers[:2]],
        *[(customer, "LAUNCH5") for customer in customers[1:3]],
        *[(customer, "EARLYBIRD") for customer in customers],
        *[(customer, badge) for customer, badge in zip(customers, badges, strict=False)],
    ]
    return sum(_redeemed(customer, code, now) for customer, code in wishes)


def _redeemed(customer: Organization, code: str, now: datetime) -> bool:
    try:
        redeem_coupon(organization_id=customer.id, code=code, actor=ACTOR, at=now, key=f"demo:{code}")
    except DomainError:
        return False
    return True

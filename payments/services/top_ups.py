"""Automatic top-ups: buy credit when little is left, once per shortage, within a monthly cap."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Sum

from accounts.models import Organization
from accounts.services import lock_organization
from core.errors import InvalidRequest
from core.money import ZERO
from core.periods import calendar_month
from credits.balances import current_balance, pending_credit
from outbox.services import publish
from outbox.taskruns import apart
from payments.errors import NoAutoTopUp, NoPaymentMethod
from payments.models import AutoTopUp, Collection, Payment, Purpose, Status
from payments.money import CENT
from payments.providers import provider_name_for
from payments.services.methods import default_method
from payments.services.requests import request_payment

SMALLEST = Decimal(1)
LARGEST = Decimal(100_000)


@transaction.atomic
def set_auto_top_up(
    *,
    organization_id: UUID,
    threshold: Decimal,
    amount: Decimal,
    actor: str,
    at: datetime,
    monthly_cap: Decimal | None = None,
    is_enabled: bool = True,
) -> AutoTopUp:
    """The rule from now on; a paused one goes on. Raises InvalidRequest, NoPaymentMethod (nothing could be charged)."""
    _check(threshold, amount, monthly_cap)
    if is_enabled and not _can_be_charged(organization_id):
        raise NoPaymentMethod
    terms = {"threshold": threshold, "amount": amount, "monthly_cap": monthly_cap, "is_enabled": is_enabled}
    fresh = {**terms, "paused_at": None, "pause_reason": "", "paused_by_dispute": False, "capped_at": None}
    rule, _ = AutoTopUp.objects.update_or_create(organization_id=organization_id, defaults={**fresh, "updated_at": at})
    publish(type="auto_top_up.set", organization_id=organization_id, data=terms, actor=actor, at=at)
    return rule


@transaction.atomic
def remove_auto_top_up(*, organization_id: UUID, actor: str, at: datetime) -> None:
    """No rule any more. Raises NoAutoTopUp."""
    if not AutoTopUp.objects.filter(organization_id=organization_id).delete()[0]:
        raise NoAutoTopUp
    publish(type="auto_top_up.removed", organization_id=organization_id, data={}, actor=actor, at=at)


def evaluate_top_ups(*, at: datetime, limit: int = 200) -> int:
    """Look at every organization that may be short of credit; ask for up to ``limit`` top-ups; how many it were.

    One that fails keeps no other from its turn.
    """
    asked = 0
    for organization_id in _short(at):
        with apart("payments.top_up_failed", organization_id):
            asked += evaluate_top_up(organization_id=organization_id, at=at) is not None
        if asked >= limit:
            break
    return asked


def _short(at: datetime) -> QuerySet[AutoTopUp, UUID]:
    """Organizations with less than their threshold and nothing on its way."""
    wallets = AutoTopUp.objects.filter(is_enabled=True, paused_at__isnull=True).annotate(
        left=F("organization__credit_account__balance")
        - F("organization__credit_account__held")
        - pending_credit("organization_id", at)
    )
    # Who is suspended can neither spend nor take the rule back.
    wallets = wallets.filter(organization__is_suspended=False)
    on_its_way = Payment.objects.unsettled().filter(organization_id=OuterRef("organization_id"), purpose=Purpose.TOP_UP)
    short = wallets.filter(~Exists(on_its_way), left__lt=F("threshold")).values_list("organization_id", flat=True)
    return short.order_by(F("capped_at").asc(nulls_first=True), "organization_id")


@transaction.atomic
def evaluate_top_up(*, organization_id: UUID, at: datetime) -> Payment | None:
    """Ask for a top-up when less than the threshold is available and none is on its way; the payment, or None.

    The rule's row is locked, so that of any number of callers one asks; the organization before it, as everywhere:
    a top-up that costs nothing moves the wallet at once. The next top-up can come when this one has been paid: until
    then the shortage is the same.
    """
    owner = lock_organization(organization_id)
    rule = _rule(organization_id)
    if owner.is_suspended or rule is None or not rule.is_enabled or rule.paused_at:
        return None
    on_its_way = Payment.objects.unsettled().filter(organization_id=organization_id, purpose=Purpose.TOP_UP)
    if on_its_way.exists() or current_balance(organization_id, at).available >= rule.threshold:
        return None
    if not _within_cap(rule, at):
        return None
    rule.count += 1
    rule.save(update_fields=["count"])
    return request_payment(
        organization_id=organization_id,
        purpose=Purpose.TOP_UP,
        amount=rule.amount,
        credits=rule.amount,
        key=_key(rule, at),
        subject={"shortage": rule.count, "threshold": rule.threshold},
        collection=Collection.AUTOMATIC,
        actor="automatic top-up",
        at=at,
    )


def pause_top_ups(payment: Payment, reason: str, *, at: datetime, by_dispute: bool = False) -> None:
    """Stop until the customer chooses another method or sets the rule again; after a dispute only the latter helps."""
    rules = AutoTopUp.objects.filter(organization_id=payment.organization_id)
    running = rules.filter(paused_by_dispute=False) if by_dispute else rules.filter(paused_at__isnull=True)
    if running.update(paused_at=at, pause_reason=reason, paused_by_dispute=by_dispute):
        facts = {"payment_id": payment.id, "reason": reason, "by_dispute": by_dispute}
        publish(
            type="auto_top_up.paused",
            organization_id=payment.organization_id,
            data=facts,
            actor="automatic top-up",
            at=at,
        )


def spent_this_month(organization_id: UUID, at: datetime) -> Decimal:
    """What automatic top-ups have taken, or are about to, in the organization's calendar month of ``at``."""
    zone = Organization.objects.values_list("time_zone", flat=True).get(pk=organization_id)
    start, end = calendar_month(at, ZoneInfo(zone))
    payments = Payment.objects.filter(
        organization_id=organization_id, purpose=Purpose.TOP_UP, created_at__gte=start, created_at__lt=end
    )
    counted = payments.exclude(status__in=[Status.FAILED, Status.CANCELED])
    return counted.aggregate(total=Sum("gross"))["total"] or ZERO


def _within_cap(rule: AutoTopUp, at: datetime) -> bool:
    if rule.monthly_cap is None:
        return True
    if spent_this_month(rule.organization_id, at) + rule.amount <= rule.monthly_cap:
        return True
    zone = Organization.objects.values_list("time_zone", flat=True).get(pk=rule.organization_id)
    month_start, _ = calendar_month(at, ZoneInfo(zone))
    if rule.capped_at is None or rule.capped_at < month_start:
        rule.capped_at = at
        rule.save(update_fields=["capped_at"])
        facts = {"monthly_cap": rule.monthly_cap, "amount": rule.amount}
        publish(
            type="auto_top_up.capped",
            organization_id=rule.organization_id,
            data=facts,
            actor="automatic top-up",
            at=at,
        )
    return False


def _key(rule: AutoTopUp, at: datetime) -> str:
    """One key for each shortage; a rule that was removed and set again counts anew, hence the time."""
    return f"top-up:{rule.count}:{at.isoformat()}"


def _rule(organization_id: UUID) -> AutoTopUp | None:
    return AutoTopUp.objects.select_for_update().filter(organization_id=organization_id).first()


def _can_be_charged(organization_id: UUID) -> bool:
    organization = Organization.objects.only("mode").get(pk=organization_id)
    provider = provider_name_for(is_test=organization.is_test)
    return default_method(organization_id, provider) is not None


def _check(threshold: Decimal, amount: Decimal, monthly_cap: Decimal | None) -> None:
    if threshold < 0:
        raise InvalidRequest("The threshold must not be negative.")
    if not SMALLEST <= amount <= LARGEST or amount != amount.quantize(CENT):
        raise InvalidRequest(f"The amount is between {SMALLEST} and {LARGEST} USD, in whole cents.")
    if monthly_cap is not None and monthly_cap < amount:
        raise InvalidRequest("The monthly cap must allow at least one top-up.")

"""Every figure of docs/billing-cycle.md is computed here from the page itself."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from accounts.principal import Actor
from accounts.services import set_suspended
from core.money import to_wire
from core.periods import boundary
from credits.models import CreditAccount, LedgerEntry, Statement
from credits.services import HoldRequest, SettleRequest, deduct_credits, grant_credits, place_hold, settle_hold
from credits.statements import figures_of
from payments.models import Payment
from payments.services import mark_paid
from tests.builders import usd
from tests.tiers.closing import FEBRUARY, JANUARY, MARCH, make_subscription, make_tier, spend
from tests.tiers.customers import beat
from tiers.close.models import PeriodClose
from tiers.close.rollover import rolled_over
from tiers.services import begin_period

PAGE = (Path(__file__).parents[2] / "docs" / "billing-cycle.md").read_text()


def table(*heading):
    """The rows of every table with that heading."""
    rows, inside, found = [], False, []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else None
        if cells == list(heading):
            inside, rows = True, []
            found.append(rows)
        elif cells is None:
            inside = False
        elif inside and not set("".join(cells)) <= {"-", ":", " "}:
            rows.append(cells)
    assert found, heading
    return found


def local(text, zone="UTC"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize("row", table("Anchor", "Zone", "After 1 month", "After 2", "After 12")[0])
def test_the_boundaries_are_as_stated(row):
    anchor, zone, *expected = row
    for months, text in zip((1, 2, 12), expected, strict=True):
        found = boundary(local(anchor, zone), months, ZoneInfo(zone)).astimezone(ZoneInfo(zone))
        assert f"{found:%Y-%m-%d %H:%M}" == text


@pytest.mark.parametrize("row", table("Expired", "Percent", "Cap", "Kept")[0])
def test_the_rollovers_are_as_stated(row):
    expired, percent, cap, kept = row
    assert to_wire(rolled_over(usd(expired), Decimal(percent), usd(cap) if cap else None)) == kept


MONTH = table("When", "What", "USD")[0]
_NAMES = {
    "monthly credit": ("grant", "allocated"),
    "bonus": ("grant", "bonus"),
    "rolled over": ("grant", "rollover"),
    "usage": ("deduction", None),
    "expired": ("expiry", None),
}


def live_the_month(beats):
    """What the customer does as the page says; all else is the close's."""
    tier = make_tier(rollover_percent=50, rollover_cap=usd("5"), rollover_periods=1)
    subscription = make_subscription(tier)
    begin_period(subscription=subscription, at=JANUARY)
    organization = subscription.organization_id
    deeds = [(local(when).astimezone(UTC), what, usd(amount)) for when, what, amount in MONTH]
    for at, what, amount in sorted(
        [*deeds, *((at, "beat", None) for at in beats)], key=lambda each: (each[0], each[1] == "beat")
    ):
        if what == "usage":
            spend(organization, str(-amount), at)
        elif what == "bonus":
            grant_credits(organization_id=organization, amount=amount, kind="bonus", reason="", actor="", at=at)
        elif what == "beat":
            beat(at)
    return organization


@pytest.mark.django_db
@pytest.mark.parametrize(
    "beats", [(FEBRUARY, MARCH), (MARCH + timedelta(days=40) - timedelta(days=30),), (FEBRUARY, FEBRUARY, MARCH, MARCH)]
)
def test_the_worked_month_is_what_the_ledger_says_on_time_late_and_twice(beats):
    organization = live_the_month(beats)

    entries = LedgerEntry.objects.filter(account_id=organization)
    found = sorted(
        (f"{e.effective_at:%Y-%m-%d %H:%M}", e.kind, e.allocations[0]["kind"] if e.kind == "grant" else None, e.amount)
        for e in entries
    )
    assert found == sorted((when, *_NAMES[what], usd(amount)) for when, what, amount in MONTH)


@pytest.mark.django_db
def test_the_statements_are_as_stated():
    organization = live_the_month([FEBRUARY, MARCH])

    stated = table("Line", "USD")
    statements = Statement.objects.filter(organization=organization).order_by("number")
    assert len(stated) == statements.count() == 2
    for rows, statement in zip(stated, statements, strict=True):
        figures = figures_of(statement)
        found = [
            ["Opening balance", to_wire(figures.opening_balance)],
            *([line.label, to_wire(line.amount)] for line in figures.lines),
            ["Closing balance", to_wire(figures.closing_balance)],
        ]
        assert sorted(found) == sorted(rows)
        assert sum((usd(amount) for _, amount in rows[:-1]), Decimal(0)) == usd(rows[-1][1])


@pytest.mark.django_db
def test_the_call_across_the_boundary_is_as_stated():
    [(left, held, charged, first, back, expired, kept)] = re.findall(
        r"with \$(\d+)\s+left of which \$(\d+) are held, and \$(\d+) charged in the end, "
        r"(\d+) \+ (\d+) = (\d+) expired and (\d+) is half",
        PAGE,
    )
    subscription = make_subscription(make_tier(monthly_credit=usd(left), rollover_percent=50))
    begin_period(subscription=subscription, at=JANUARY)
    request = HoldRequest(subscription.organization_id, usd(held), "k", MARCH, purpose="gateway")
    hold = place_hold(request, at=FEBRUARY - timedelta(minutes=1)).hold_id
    beat(FEBRUARY)
    expiries = LedgerEntry.objects.filter(account_id=subscription.organization_id, kind="expiry")
    assert [entry.amount for entry in expiries] == [-usd(first)]
    assert PeriodClose.objects.get().is_waiting
    settle_hold(SettleRequest(hold, usd(charged)), at=FEBRUARY + timedelta(minutes=1))
    beat(FEBRUARY + timedelta(minutes=2))

    close = PeriodClose.objects.get()
    assert (close.expired, close.rolled_over) == (usd(expired), usd(kept)) == (usd(first) + usd(back), usd(kept))


@pytest.mark.django_db
def test_overage_is_billed_as_stated():
    rows = table("Owed", "Billed before and unpaid", "Billed now", "Waits")[0]
    tier = make_tier(monthly_price=usd("10"), monthly_credit=usd("0"), overage_limit=usd("50"))
    subscription = make_subscription(tier, collection="manual")
    organization, at = subscription.organization_id, JANUARY
    for owed, unpaid, billed, waits in rows:
        if usd(unpaid) == 0:
            for payment in Payment.objects.filter(purpose="overage", status="open"):
                mark_paid(payment_id=payment.id, actor="", reason="bank", at=at)
        account = CreditAccount.objects.get(pk=organization)
        if usd(owed) > account.overage:
            deduct_credits(organization_id=organization, amount=usd(owed) - account.overage, reason="", actor="", at=at)
        subscription.refresh_from_db()
        at = subscription.period_ends_at
        beat(at)
        close = PeriodClose.objects.order_by("-period_index").first()
        assert close.overage_billed == usd(billed)
        assert usd(owed) - usd(unpaid) - usd(billed) == usd(waits)


@pytest.mark.django_db
def test_the_months_of_a_suspension_are_as_stated(settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    tier = make_tier(monthly_price=Decimal(30))
    subscription = make_subscription(tier, collection="manual")
    begin_period(subscription=subscription, at=JANUARY)
    who = {"organization_id": subscription.organization_id, "reason": "page", "actor": Actor("test")}
    set_suspended(suspended=True, at=datetime(2026, 2, 10, tzinfo=UTC), **who)
    set_suspended(suspended=False, at=datetime(2026, 3, 15, tzinfo=UTC), **who)
    beat(MARCH)
    closes = {f"{close.ends_at:%Y-%m-%d %H:%M}": close for close in PeriodClose.objects.all()}
    rows = table("Boundary", "Suspended", "Asked for", "Credit")[0]
    assert len(rows) == len(closes)
    for boundary_at, suspended, asked, credit in rows:
        close = closes[boundary_at]
        payment = Payment.objects.filter(pk=close.payment_id).first()
        assert (close.was_suspended, close.allocated) == (suspended == "yes", usd(credit))
        assert (payment.amount if payment else Decimal(0)) == usd(asked)

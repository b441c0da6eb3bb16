"""The front page's figures against sums made by hand."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.figures import _floats, _movements, figures_at
from core.ids import uuid7
from credits.models import Hold, LedgerEntry, Lot
from credits.services import deduct_credits, grant_credits, refund_charge
from metering.models import UsageDay
from openrouter.models import ProviderBalance, ReconciliationDifference
from outbox.models import DomainEvent, EmailDelivery
from outbox.taskruns import announce_jobs, record_run
from payments.models import Payment
from tests.builders import make_call, make_customer, make_organization, make_user, sign_in, usd
from tiers.services import create_tier, subscribe

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 3, 31, 15, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def provider(settings):
    """One provider account behind live keys, another behind test keys."""
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_MANAGEMENT_KEY = "https://openrouter.ai/api/v1", "m"
    settings.OPENROUTER_SANDBOX_URL = settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = ""


def grant(organization, amount, kind="bonus", at=AT - 40 * DAY, **fields):
    grant_credits(
        organization_id=organization.id, amount=usd(amount), kind=kind, reason="x", actor="x", at=at, **fields
    )


def call(organization, cost, at, percent="10"):
    return make_call(organization, cost, percent, occurred_at=at)


def deduct(organization, amount, at):
    deduct_credits(organization_id=organization.id, amount=usd(amount), reason="x", actor="x", at=at)


def test_revenue_cost_and_margin_by_hand():
    one, two = make_organization(), make_organization()
    for each in (one, two, test := make_organization(mode="test", live_organization=one)):
        grant(each, "100")
    call(one, "2", AT - 40 * DAY)  # before the range
    deduct(one, "3", AT - 31 * DAY)  # too
    call(one, "1.5", AT - 29 * DAY)  # its first day: 1.65 charged
    charged = call(two, "0.000001", AT, percent="5")  # 0.00000105 charged
    call(test, "50", AT)  # not real money
    deduct(one, "0.25", AT - DAY), deduct(test, "9", AT)
    refund_charge(
        organization_id=two.id, entry_id=charged.entry_id, amount=usd("0.0000005"), reason="x", actor="x", at=AT
    )
    figures = figures_at(AT)
    business = figures.business
    assert business.charge == Decimal("1.65000105")
    assert (business.deductions, business.refunds) == (Decimal("0.25"), Decimal("0.0000005"))
    assert business.revenue == Decimal("1.90000055")  # 1.65000105 + 0.25 − 0.0000005
    assert business.provider_cost == Decimal("1.500001")
    assert business.margin == Decimal("0.39999955")
    assert business.margin_percent == Decimal("21.1")  # 0.39999955 / 1.90000055
    assert business.events == 2
    assert (figures.active, figures.organizations) == (2, 2)
    assert len(business.days) == 30 and business.days[0].day.isoformat() == "2026-03-02"
    assert {day.day.isoformat(): (day.cost, day.margin, day.charge) for day in business.days if day.charge} == {
        "2026-03-02": (Decimal("1.5"), Decimal("0.15"), Decimal("1.65")),
        "2026-03-31": (Decimal("0.000001"), Decimal("0.00000005"), Decimal("0.00000105")),
    }
    assert {each.kind: (each.count, each.amount) for each in figures.by_kind} == {
        "deduction": (1, Decimal("-0.25")),
        "refund": (1, Decimal("0.0000005")),
    }
    assert figures_at(AT, days=90).business.charge == Decimal("3.85000105")


def test_nothing_yet_is_zero_and_no_percentage():
    figures = figures_at(AT)
    assert (figures.business.revenue, figures.business.margin_percent, figures.liability.total) == (0, None, 0)
    assert (figures.received.amount, figures.received.count, figures.floats, figures.by_kind) == (0, 0, [], [])


def test_a_cost_above_the_charge_is_a_loss():
    organization = make_organization()
    grant(organization, "100")
    call(organization, "1", AT, percent="-40")
    business = figures_at(AT).business
    assert (business.margin, business.margin_percent) == (Decimal("-0.4"), Decimal("-66.7"))


def test_unspent_credit_and_what_of_it_was_paid_for():
    paying, free = (subscribed(price) for price in ("30", "0"))
    for each in (paying, free):
        grant(each, "10", "bonus"), grant(each, "20", "allocated", priority=1), grant(each, "5", "purchased")
    grant(paying, "2", "rollover", priority=2), grant(free, "4", "rollover", priority=2)
    grant(free, "1", "bonus", expires_at=AT - DAY)  # expired and not swept: nobody's any more
    grant(free, "3", "bonus", effective_at=AT + DAY)  # not yet effective, but promised
    deduct(paying, "21", AT - 20 * DAY)  # all that was allocated and 1 of what was rolled over
    grant(paying.test_twin, "1000", "purchased")
    Hold.objects.all().delete()
    liability = figures_at(AT).liability
    assert liability.by_kind == {
        "allocated": Decimal(20),
        "bonus": Decimal(23),
        "purchased": Decimal(10),
        "rollover": Decimal(5),
    }
    assert liability.total == Decimal(58)
    assert liability.paid == Decimal(11)  # 5 + 5 purchased, 1 rolled over on the tier with a price


def subscribed(price):
    tier = create_tier(at=AT - 50 * DAY, slug=f"tier-{price}", name=price, monthly_price=usd(price))
    customer = make_customer(owner=make_user(), at=AT - 45 * DAY)
    subscribe(organization_id=customer.id, tier_slug=tier.slug, at=AT - 44 * DAY, actor="test")
    Lot.objects.filter(account_id=customer.id).delete()
    return customer


def pay(organization, amount, status, at=AT - DAY, refunded="0"):
    Payment.objects.create(
        organization=organization,
        purpose="credits",
        status=status,
        collection="manual",
        gross=usd(amount),
        amount=usd(amount),
        refunded=usd(refunded),
        provider="manual",
        key=str(uuid7()),
        due_at=at,
        created_at=at,
        paid_at=at if status in ("succeeded", "refunded") else None,
    )


def test_payments_received_and_open():
    organization = make_organization()
    test = make_organization(mode="test", live_organization=organization)
    pay(organization, "30", "succeeded"), pay(organization, "20", "succeeded", refunded="5")
    pay(organization, "50", "refunded", refunded="50"), pay(organization, "99", "succeeded", at=AT - 40 * DAY)
    pay(organization, "7", "open"), pay(organization, "8", "processing", at=AT - 60 * DAY)
    pay(organization, "9", "failed"), pay(organization, "11", "canceled"), pay(test, "500", "succeeded")
    received = figures_at(AT).received
    assert (received.amount, received.count) == (Decimal(45), 3)
    assert (received.open_amount, received.open_count) == (Decimal(15), 2)


def test_how_long_the_provider_lasts():
    organization = make_organization()
    test = make_organization(mode="test", live_organization=organization)
    for each in (organization, test):
        grant(each, "1000")
    for days, cost in ((0, "100"), (1, "3"), (7, "4"), (8, "100")):  # today and the day before the week do not count
        call(organization, cost, AT - days * DAY)
    call(test, "70", AT - DAY)  # of another provider account
    ProviderBalance.objects.create(upstream="live", bought=usd("100"), used=usd("95.5"), taken_at=AT)
    ProviderBalance.objects.create(upstream="gone", bought=usd("100"), used=usd("0"), taken_at=AT)
    [only] = figures_at(AT).floats
    assert (only.balance.left, only.a_day) == (Decimal("4.5"), Decimal(1))
    assert only.lasts == timedelta(days=4, hours=12)
    concern = {each.label: each.count for each in figures_at(AT).concerns}
    assert concern["provider accounts that last less than a week"] == 1


def test_a_provider_that_nobody_uses_lasts_and_an_overdrawn_one_does_not():
    ProviderBalance.objects.create(upstream="live", bought=usd("1"), used=usd("2"), taken_at=AT)
    assert figures_at(AT).floats[0].lasts is None
    organization = make_organization()
    grant(organization, "10")
    call(organization, "7", AT - DAY)
    assert figures_at(AT).floats[0].lasts == timedelta(0)


def test_one_account_behind_both_modes_bears_both(settings):
    settings.OPENROUTER_SANDBOX_URL, settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = "https://openrouter.ai/api/v1", "m"
    organization = make_organization()
    test = make_organization(mode="test", live_organization=organization)
    for each in (organization, test):
        grant(each, "100")
        call(each, "7", AT - DAY)
    ProviderBalance.objects.create(upstream="live and test", bought=usd("20"), used=usd("0"), taken_at=AT)
    [only] = figures_at(AT).floats
    assert (only.a_day, only.lasts) == (Decimal(2), timedelta(days=10))


def test_what_waits_for_somebody_is_counted_and_listed():
    announce_jobs(tasks=["credits.tasks.expire_lots"], at=AT - DAY)  # and did not run since
    record_run(task="credits.tasks.audit_ledger", started_at=AT, finished_at=AT, outcome="failed", error="x")
    DomainEvent.objects.create(type="x.happened", attempts=1, last_error="x")
    EmailDelivery.objects.create(key="a", recipient="a@example.com", subject="x", body="x", status="failed")
    ReconciliationDifference.objects.create(scope="call", subject="x", ours=1, theirs=2, difference=1, owner="gateway")
    counts = {each.label: each.count for each in figures_at(AT).concerns if each.count}
    assert counts == {
        "jobs that fail or are overdue": 2,
        "differences with the provider": 1,
        "news that could not be handed on": 1,
        "e-mails that were given up": 1,
    }
    client = sign_in(make_user(is_staff=True, is_superuser=True))
    for concern in figures_at(timezone.now()).concerns:
        assert not concern.address or client.get(concern.address).status_code == 200, concern


def test_the_page_shows_the_figures_with_a_table_behind_the_chart():
    now = timezone.now()
    organization = make_organization()
    grant(organization, "100", at=now)
    call(organization, "2", now)
    client = sign_in(make_user(is_staff=True, is_superuser=True))
    html = client.get("/admin/?days=7").content.decode()
    assert (
        'data-chart="bar"' in html
        and 'data-value="0.2"' in html
        and html.count('<tr><th scope="row" class="nowrap">') >= 7
    )
    assert "$2.20" in html and "9.1 % of the revenue" in html
    assert 'aria-current="true">7 days' in html
    assert client.get("/admin/?days=1000000").status_code == 200


def test_the_figures_cost_one_query_each_however_much_there_is():
    def cost():
        with CaptureQueriesContext(connection) as queries:
            figures = figures_at(AT)
            list(figures.newest), list(figures.movements)
        return len(queries)

    few = cost()
    assert few <= 22  # one a figure, of which there are as many
    for _ in range(5):
        organization = make_organization()
        grant(organization, "100")
        for days in range(5):
            call(organization, "1", AT - days * DAY)
    assert cost() == few


@pytest.mark.parametrize(
    ("table", "index", "read"),
    [
        (LedgerEntry, "entry_not_usage", lambda: _movements(AT, 30)),
        (UsageDay, "usage_day_of_all", lambda: _floats(AT)),
    ],
)
def test_the_large_tables_are_read_by_an_index_not_whole(table, index, read):
    """Judged by whether the index alone can serve, not by what the planner holds of a small table."""
    with CaptureQueriesContext(connection) as queries:
        read()
    [asked] = [each["sql"] for each in queries if f'FROM "{table._meta.db_table}"' in each["sql"]]
    with transaction.atomic(), connection.cursor() as cursor:
        drop_other_indexes(cursor, table, index)
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {asked}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
        transaction.set_rollback(True)
    assert index in plan and f"Seq Scan on {table._meta.db_table}" not in plan, plan
    assert re.search(r"Index Cond: \(+(posted_at|day) ", plan), plan


def drop_other_indexes(cursor, table, kept):
    name = table._meta.db_table
    with_constraint = f"SELECT conname FROM pg_constraint WHERE conrelid = '{name}'::regclass AND contype IN ('p', 'u')"
    cursor.execute(with_constraint)
    for (constraint,) in cursor.fetchall():
        cursor.execute(f'ALTER TABLE {name} DROP CONSTRAINT "{constraint}" CASCADE')
    cursor.execute(f"SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '{name}'::regclass")
    for (other,) in cursor.fetchall():
        if other != kept:
            cursor.execute(f"DROP INDEX {other}")

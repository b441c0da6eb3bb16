"""The demo data: written once, by the rules of real usage."""

import json
import stat
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db.models import Max, Sum

from accounts.directory import authenticate_key, forget_keys
from accounts.models import ApiKey, Organization, User
from credits.audit import audit_books
from credits.models import LedgerEntry, Lot, Statement
from metering.demo.cast import COMPANIES, OPERATOR
from metering.demo.traffic import uses_of
from metering.models import UsageEvent, UsageHour
from metering.receipt import receipt_of
from payments.models import Payment
from tiers.models import Subscription

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def loaded(django_db_setup, django_db_blocker, tmp_path_factory):
    """The demo data, once for all tests that only look; undone afterwards."""
    from django.conf import settings
    from django.db import connection, transaction

    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "DATA_DIR", tmp_path_factory.mktemp("data"))
        with transaction.atomic():
            call_command("load_demo", verbosity=0)
            yield settings.DATA_DIR / "demo.json"
            transaction.set_rollback(True)
        connection.close()


@pytest.fixture
def note(loaded, django_db_blocker):
    with django_db_blocker.unblock():
        yield json.loads(loaded.read_text(encoding="utf-8"))


pytestmark = pytest.mark.slow


def test_the_note_is_for_its_owner_and_lets_everybody_named_sign_in(note, loaded):
    assert stat.S_IMODE(loaded.stat().st_mode) == 0o600
    assert User.objects.get(email=note["operator"]["email"]).is_superuser
    for person in (note["operator"], *note["users"]):
        assert User.objects.get(email=person["email"]).check_password(person["password"])
    assert {person["organization"] for person in note["users"]} == {company.name for company in COMPANIES}


def test_the_keys_of_the_note_work_on_live_and_on_test_books(note):
    forget_keys()
    live, test = (authenticate_key(note[name], at=datetime.now(UTC)) for name in ("api_key", "test_api_key"))
    assert (live.mode, test.mode) == ("live", "test")
    twin = Organization.objects.get(pk=test.organization_id)
    assert twin.live_organization_id == live.organization_id


def test_the_books_pass_the_audit_and_nobody_is_left_below_zero(note):
    assert audit_books() == []
    assert not LedgerEntry.objects.filter(balance_after__lt=0).exists()


def test_every_charge_computes_again_to_what_was_posted(note):
    events = UsageEvent.objects.order_by("id")
    sample = [*events[::97], *events.filter(is_byok=True)[:3], *events.filter(status="error")[:3]]
    assert len(sample) > 100
    assert [event.id for event in sample if receipt_of(event).problem] == []


def test_the_sums_equal_the_events(note):
    assert UsageHour.objects.aggregate(sum=Sum("charge")) == UsageEvent.objects.aggregate(sum=Sum("charge"))


def test_it_shows_something_of_everything(note):
    events = UsageEvent.objects.filter(organization__mode="live")
    assert events.count() > 5_000
    assert set(events.values_list("kind", flat=True)) >= {"chat", "embedding", "tts", "search", "agent"}
    assert set(events.values_list("status", flat=True)) >= {"ok", "error", "cancelled"}
    assert events.filter(is_byok=True).exists() and events.filter(is_free=True).exists()
    assert set(LedgerEntry.objects.values_list("kind", flat=True)) >= {
        "grant", "charge", "deduction", "refund", "expiry", "void"}  # fmt: skip
    assert set(Lot.objects.values_list("kind", flat=True)) >= {"allocated", "bonus", "purchased"}
    tiers = Subscription.objects.filter(ended_at__isnull=True).values_list("tier__slug", flat=True)
    assert set(tiers) == {"free", "starter", "professional", "enterprise", "lab-enterprise", "lab-free"}  # of its twin


def test_keys_that_were_used_say_when(note):
    used = dict(UsageEvent.objects.exclude(api_key_id=None).values_list("api_key_id").annotate(Max("occurred_at")))
    assert used and dict(ApiKey.objects.filter(pk__in=used).values_list("pk", "last_used_at")) == used


def test_money_moved_in_the_order_of_its_time(note):
    for organization in Organization.objects.all():
        posted = list(
            LedgerEntry.objects.filter(account_id=organization.id)
            .order_by("number")
            .values_list("posted_at", flat=True)
        )
        assert posted == sorted(posted)
    assert LedgerEntry.objects.filter(posted_at__lt=datetime.now(UTC) - timedelta(days=80)).exists()


def test_loading_again_changes_nothing(note, loaded):
    before = (UsageEvent.objects.count(), LedgerEntry.objects.count(), User.objects.count())
    call_command("load_demo", verbosity=0)
    assert (UsageEvent.objects.count(), LedgerEntry.objects.count(), User.objects.count()) == before
    assert json.loads(loaded.read_text(encoding="utf-8")) == note


def test_when_the_note_is_lost_there_are_new_passwords_and_keys_but_no_new_usage(note, loaded):
    before = UsageEvent.objects.count()
    loaded.unlink()
    call_command("load_demo", verbosity=0)
    again = json.loads(loaded.read_text(encoding="utf-8"))
    assert again["operator"]["password"] != note["operator"]["password"] and again["api_key"] != note["api_key"]
    assert User.objects.get(email=OPERATOR.email).check_password(again["operator"]["password"])
    assert UsageEvent.objects.count() == before


def test_the_same_moment_brings_the_same_usage():
    assert uses_of(COMPANIES[0], at=NOW) == uses_of(COMPANIES[0], at=NOW)


def test_usage_has_the_rhythm_of_its_company_and_grows():
    uses = uses_of(COMPANIES[0], at=NOW)
    weekend = [use for use in uses if use.occurred_at.weekday() >= 5]
    assert len(weekend) * 8 < len(uses)
    early = [use for use in uses if use.occurred_at < NOW - timedelta(days=60)]
    late = [use for use in uses if use.occurred_at > NOW - timedelta(days=30)]
    assert len(late) > len(early) * 5 // 4


def test_subscriptions_are_what_a_business_has(note):
    live = Subscription.objects.open().filter(organization__mode="live").select_related("organization", "tier")
    rows = {row.organization.name: row for row in live}
    assert rows["Northwind Research"].period_index == 3 and rows["Northwind Research"].collection == "manual"
    assert (rows["Kestrel Audio"].option, rows["Kestrel Audio"].tier.slug) == ("byok", "enterprise")
    assert rows["Lumen Support"].cancel_at_period_end
    assert (rows["Quiet Pine"].status, rows["Quiet Pine"].tier.slug) == ("trialing", "professional")
    now = datetime.now(UTC)
    assert all(row.period_starts_at <= now < row.period_ends_at for row in rows.values())
    assert {row.zone for row in rows.values()} == {company.zone for company in COMPANIES}


def test_months_were_closed_and_paid_for(note):
    paid = Payment.objects.filter(organization__name="Northwind Research", organization__mode="live")
    assert paid.filter(purpose="subscription", status="succeeded").count() >= 3
    [switch] = paid.filter(purpose="switch")
    assert 0 < switch.amount < 20
    statements = Statement.objects.filter(organization__name="Northwind Research", organization__mode="live")
    assert statements.count() == 3

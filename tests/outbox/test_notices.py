"""News: told once, read in words, counted until seen, and written only to those who want it."""

import html
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import ApiKey, Organization, Role
from accounts.principal import Actor
from accounts.services import revoke_api_key
from credits.services import deduct_credits, grant_credits
from credits.services.alerts import detect_shortages
from outbox.models import DomainEvent, EmailDelivery, Notice
from outbox.notices.key_expiry import announce_expiring_keys
from outbox.notices.kinds import kinds
from outbox.notices.reading import unread_count
from outbox.notices.services import choose_emails, keep_notice
from outbox.services import dispatch_events, publish
from tests.builders import make_customer, make_key, make_user, sign_in, usd

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer():
    return make_customer(owner=make_user(), name="Analytical Engines")


@pytest.fixture
def owner(customer):
    return customer.memberships.get().user


def tell(customer, type, at=None, **data):
    event = publish(type=type, organization_id=customer.id, data=data, actor="test", at=at or timezone.now())
    keep_notice(event)
    return event


def test_a_fact_is_told_once_however_often_it_is_handed_on(customer):
    event = tell(customer, "auto_top_up.paused")
    keep_notice(event)
    assert Notice.objects.filter(event_id=event.id).count() == 1
    assert EmailDelivery.objects.filter(key__startswith="notice:").count() == 1


def test_what_happens_is_told_when_it_is_handed_on(customer, owner):
    now = timezone.now()
    grant_credits(organization_id=customer.id, amount=usd("5"), kind="bonus", reason="x", actor="x", at=now)
    dispatch_events(at=timezone.now())
    page = html.unescape(sign_in(owner).get("/notifications/").content.decode())
    assert "$5.00 of credit was added" in page
    assert EmailDelivery.objects.count() == 0  # nobody has asked for letters about that


def test_every_kind_says_what_happened_and_leads_to_what_can_be_done(customer, owner):
    uuid = "019aa000-0000-7000-8000-000000000000"
    facts = {
        "credits.low": {"balance": "0.5"},
        "credits.exhausted": {"balance": "0"},
        "credits.expiring": {"total": "5", "lots": [{"expires_at": "2026-12-01T00:00:00Z"}]},
        "credits.expired": {"amount": "-2"},
        "credits.granted": {"amount": "5", "balance": "7", "entry_id": uuid},
        "credits.refunded": {"amount": "1"},
        "statement.ready": {},
        "payment.declined": {"payment_id": uuid, "retry_at": "2026-12-01T00:00:00Z"},
        "payment.failed": {},
        "payment.succeeded": {"amount": "25", "purpose": "top_up", "payment_id": uuid},
        "auto_top_up.paused": {},
        "auto_top_up.capped": {"monthly_cap": "100"},
        "tier.changed": {"tier": "starter", "before": "free"},
        "tier.trial_ending": {
            "tier": "starter",
            "next_tier": "starter",
            "monthly_price": "30",
            "payment_method": "",
            "trial_ends_at": "2026-12-01T00:00:00Z",
            "zone": "UTC",
            "collection": "automatic",
        },
        "subscription.change_scheduled": {"next_tier": "free", "effective_at": "2026-12-01T00:00:00Z"},
        "subscription.canceled": {},
        "subscription.past_due": {},
        "api_key.expiring": {"name": "<b>Laptop</b>", "expires_at": "2026-12-01T00:00:00Z"},
        "webhook.endpoint_disabled": {"host": "example.com"},
        "budget.threshold_reached": {"budget_id": uuid, "name": "Team", "threshold": "75", "is_highest": True},
        "budget.exceeded": {"budget_id": uuid, "name": "Team", "spent": "11", "amount": "10"},
        "budget.blocked": {"budget_id": uuid, "name": "Team", "resets_at": "2026-12-01T00:00:00Z"},
        "recommendations.found": {"count": 2, "saving": "12.5"},
    }
    for type, data in facts.items():
        tell(customer, type, **data)
    member = sign_in(owner)
    answer = member.get("/notifications/")
    assert len(answer.context["news"]) == len(facts)
    assert all(each.words.title and each.words.link.startswith("/") for each in answer.context["news"])
    assert b"<b>Laptop" not in answer.content
    assert {each.source.kind for each in answer.context["news"]} == {kind.slug for kind in kinds()}


def test_days_are_told_in_the_zone_that_the_organization_had_then(customer, owner):
    berlin = "2026-11-30T23:00:00Z"  # midnight there
    facts = {
        "api_key.expiring": {"name": "k", "expires_at": berlin},
        "credits.expiring": {"total": "5", "lots": [{"expires_at": berlin}]},
        "subscription.change_scheduled": {"next_tier": "free", "effective_at": berlin},
        "budget.exceeded": {"budget_id": "019aa000-0000-7000-8000-000000000000", "resets_at": berlin},
    }
    Organization.objects.filter(pk=customer.pk).update(time_zone="Europe/Berlin")
    for type, data in facts.items():
        tell(customer, type, **data)
    Organization.objects.filter(pk=customer.pk).update(time_zone="America/New_York")
    news = sign_in(owner).get("/notifications/").context["news"]
    assert ["1 December 2026" in f"{each.words.title} {each.words.text}" for each in news] == [True] * 4


def test_facts_without_news_in_them_are_kept_out(customer):
    tell(customer, "payment.succeeded", amount="0")
    tell(customer, "tier.changed", tier="free", before=None)
    tell(customer, "credits.expired", amount="-0.001")
    assert Notice.objects.count() == 0


def test_news_is_counted_until_it_was_seen_and_for_each_person(customer, owner):
    other = make_user()
    customer.memberships.create(user=other, role=Role.VIEWER)
    tell(customer, "credits.exhausted")
    tell(customer, "credits.granted", amount="1")
    member = sign_in(owner)
    assert '<span class="count count-new">2' in member.get("/transactions/").content.decode()
    assert [each.is_new for each in member.get("/notifications/").context["news"]] == [True, True]
    assert [each.is_new for each in member.get("/notifications/").context["news"]] == [False, False]
    assert (unread_count(owner.pk, customer.id), unread_count(other.pk, customer.id)) == (0, 2)


def test_news_of_others_is_neither_listed_nor_counted(customer, owner):
    stranger = make_customer(owner=make_user())
    tell(stranger, "credits.exhausted")
    assert sign_in(owner).get("/notifications/").context["news"] == []
    assert unread_count(owner.pk, customer.id) == 0


def test_letters_go_to_those_who_want_them(customer, owner):
    accountant, admin = make_user(), make_user()
    customer.memberships.create(user=accountant, role=Role.BILLING)
    customer.memberships.create(user=admin, role=Role.ADMIN)
    choose_emails(user_id=owner.pk, by_email={"top_up": False, "key_expiring": True})
    tell(customer, "auto_top_up.paused")
    tell(customer, "api_key.expiring", name="k", expires_at="2026-11-30T23:00:00Z")
    tell(customer, "credits.granted", amount="1")
    assert sorted(EmailDelivery.objects.values_list("recipient", flat=True)) == sorted(
        [accountant.email, owner.email, admin.email]
    )
    letter = EmailDelivery.objects.get(recipient=accountant.email)
    assert letter.subject == "Analytical Engines: Automatic top-up is paused"
    assert "/payments/" in letter.body and "/notifications/settings/" in letter.body


def test_who_wants_no_letters_about_low_credit_gets_none(customer, owner):
    now = timezone.now()
    grant_credits(organization_id=customer.id, amount=usd("5"), kind="bonus", reason="x", actor="x", at=now)
    deduct_credits(organization_id=customer.id, amount=usd("4.5"), reason="x", actor="x", at=now)
    choose_emails(user_id=owner.pk, by_email={"credit_low": False})
    detect_shortages(at=now)
    dispatch_events(at=timezone.now())
    assert EmailDelivery.objects.count() == 0
    assert Notice.objects.filter(type="credits.low").exists()


def test_the_books_of_the_test_mode_are_told_but_not_written_about(customer):
    tell(Organization.objects.get(live_organization=customer), "auto_top_up.paused")
    assert (Notice.objects.count(), EmailDelivery.objects.count()) == (1, 0)


def test_old_news_is_told_and_not_written_about(customer):
    tell(customer, "auto_top_up.paused", at=timezone.now() - timedelta(days=8))
    assert (Notice.objects.count(), EmailDelivery.objects.count()) == (1, 0)


def test_the_settings_keep_what_is_switched_and_nothing_else(customer, owner):
    member = sign_in(owner)
    form = member.get("/notifications/settings/").context["form"]
    assert form["credit_low"].initial is True and form["credit_added"].initial is False
    member.post("/notifications/settings/", {"credit_added": "on", "nonsense": "on"})
    form = member.get("/notifications/settings/").context["form"]
    assert (form["credit_low"].initial, form["credit_added"].initial) == (False, True)


def test_a_key_is_announced_once_before_it_ends(customer):
    now = timezone.now()
    soon, _ = make_key(customer, at=now, expires_at=now + timedelta(days=6))
    make_key(customer, at=now, expires_at=now + timedelta(days=8))
    gone, _ = make_key(customer, at=now, expires_at=now + timedelta(days=6))
    revoke_api_key(key_id=gone.id, organization_id=customer.id, actor=Actor("test"), at=now)
    assert [announce_expiring_keys(at=now), announce_expiring_keys(at=now)] == [1, 0]
    assert DomainEvent.objects.get(type="api_key.expiring").data["key_id"] == str(soon.id)
    assert announce_expiring_keys(at=now + timedelta(days=3)) == 1  # the other one, by then


def test_keys_that_are_announced_already_keep_no_other_from_its_turn(customer):
    now = timezone.now()
    keys = [make_key(customer, at=now, expires_at=now + timedelta(days=day))[0] for day in (1, 2, 3, 4, 5)]
    assert [announce_expiring_keys(at=now, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    told = DomainEvent.objects.filter(type="api_key.expiring").order_by("data__expires_at")
    assert [event.data["key_id"] for event in told] == [str(key.id) for key in keys]
    ApiKey.objects.filter(id=keys[0].id).update(expires_at=now + timedelta(days=6, microseconds=1))
    assert [announce_expiring_keys(at=now) for _ in range(2)] == [1, 0]  # another end is news again


@pytest.mark.parametrize("rows", [1, 30])
def test_the_page_asks_as_much_for_many_rows_as_for_one(customer, owner, django_assert_max_num_queries, rows):
    for _ in range(rows):
        tell(customer, "credits.granted", amount="1")
    member = sign_in(owner)
    member.get("/notifications/")
    with django_assert_max_num_queries(8):
        member.get("/notifications/")

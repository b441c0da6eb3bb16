"""Owners and billing members are told of a shortage once, and again only after it was over."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import Role
from accounts.services import Actor, set_suspended
from credits.models import Lot
from credits.operations import CreditAlert
from credits.services import HoldRequest, alerts, deduct_credits, grant_credits, place_hold, set_low_balance_alert
from credits.services.alerts import close_shortages, detect_expiring, detect_shortages
from outbox.mail import send_emails
from outbox.models import DomainEvent, EmailDelivery
from outbox.services import dispatch_events
from tests.builders import make_customer, make_user, usd
from tests.concurrency.parallel import run_parallel

pytestmark = pytest.mark.django_db(transaction=True)

OWNER, BILLING, READER = "owner@example.com", "billing@example.com", "reader@example.com"


@pytest.fixture
def customer():
    """With an owner, a billing member, a viewer, 10 USD and a threshold of 5 USD."""
    made = make_customer(owner=make_user(email=OWNER), name="Analytical Engines")
    for email, role in ((BILLING, Role.BILLING), (READER, Role.VIEWER)):
        made.memberships.create(user=make_user(email=email), role=role)
    set_low_balance_alert(organization_id=made.id, threshold=usd("5"))
    grant(made, "10")
    settle_news()
    return made


def grant(organization, amount, **fields):
    fields = {"kind": "bonus", "reason": "Hello", "actor": "test", "at": timezone.now(), **fields}
    grant_credits(organization_id=organization.id, amount=usd(amount), **fields)


def spend(organization, amount):
    deduct_credits(organization_id=organization.id, amount=usd(amount), reason="Use", actor="test", at=timezone.now())


def settle_news():
    while dispatch_events(at=timezone.now()):
        pass


def letters():
    settle_news()
    return sorted(EmailDelivery.objects.values_list("recipient", "subject"))


LOW = [
    (BILLING, "Analytical Engines: credit runs low ($4.00 left)"),
    (OWNER, "Analytical Engines: credit runs low ($4.00 left)"),
]
EXHAUSTED = [(each, "Analytical Engines: credit is used up") for each in (BILLING, OWNER)]


def test_owners_and_billing_members_are_told_once_per_shortage(customer):
    spend(customer, "6")
    assert letters() == LOW
    for _ in range(3):
        spend(customer, "0.5")
        detect_shortages(at=timezone.now())
    assert letters() == LOW


def test_credit_that_cannot_be_spent_yet_hides_no_shortage(customer):
    grant(customer, "100", effective_at=timezone.now() + timedelta(days=30))
    spend(customer, "6")
    detect_shortages(at=timezone.now())
    assert letters() == LOW
    close_shortages(at=timezone.now())
    spend(customer, "4")
    detect_shortages(at=timezone.now())
    assert letters() == sorted(LOW + EXHAUSTED)
    assert close_shortages(at=timezone.now() + timedelta(days=31)) == 2  # it can be spent then


def test_a_new_shortage_is_news_again(customer):
    spend(customer, "6")
    assert letters() == LOW
    grant(customer, "6")  # 10 again
    settle_news()
    spend(customer, "6")
    assert letters() == sorted(LOW * 2)


def test_credit_that_stays_below_the_threshold_begins_no_new_shortage(customer):
    spend(customer, "6")
    grant(customer, "0.5")
    spend(customer, "0.5")
    assert letters() == LOW


def test_whoever_hears_that_all_is_gone_does_not_hear_that_little_is_left(customer):
    spend(customer, "10")
    detect_shortages(at=timezone.now())
    assert letters() == EXHAUSTED
    assert set(CreditAlert.objects.values_list("kind", flat=True)) == {"low", "exhausted"}


def test_first_low_then_exhausted(customer):
    spend(customer, "6")
    assert letters() == LOW
    spend(customer, "4")
    assert letters() == sorted(LOW + EXHAUSTED)


def test_credit_that_is_only_held_is_no_shortage(customer):
    hold = HoldRequest(customer.id, usd("9"), "call", timezone.now() + timedelta(minutes=5))
    place_hold(hold, at=timezone.now())
    settle_news()
    assert DomainEvent.objects.filter(type="credits.low").exists()  # the ledger says what is available
    assert letters() == [] and detect_shortages(at=timezone.now()) == 0


def test_a_wallet_without_a_threshold_has_the_installation_s(customer, settings):
    set_low_balance_alert(organization_id=customer.id, threshold=None)
    settings.CREDITS_LOW_BALANCE = usd("2")
    spend(customer, "8")  # exactly 2: not below
    assert detect_shortages(at=timezone.now()) == 0
    spend(customer, "0.01")
    assert detect_shortages(at=timezone.now()) == 1
    assert detect_shortages(at=timezone.now()) == 0
    assert [subject for _, subject in letters()] == ["Analytical Engines: credit runs low ($1.99 left)"] * 2
    assert DomainEvent.objects.get(type="credits.low").data == {"balance": "1.99", "threshold": "2"}


def test_a_threshold_of_zero_leaves_only_the_end(customer):
    set_low_balance_alert(organization_id=customer.id, threshold=usd("0"))
    spend(customer, "9.99")
    detect_shortages(at=timezone.now())
    assert letters() == []
    spend(customer, "0.01")
    assert letters() == EXHAUSTED


def test_test_books_suspended_and_untouched_wallets_tell_nobody(customer):
    twin = customer.test_twin
    grant(twin, "1")
    spend(twin, "1")
    make_customer(owner=make_user(), name="Never had any")
    set_suspended(organization_id=customer.id, suspended=True, reason="x", actor=Actor("test"), at=timezone.now())
    spend(customer, "10")
    assert detect_shortages(at=timezone.now()) == 0
    assert letters() == []


def test_people_who_cannot_sign_in_are_not_written_to(customer):
    customer.memberships.get(user__email=OWNER).user.__class__.objects.filter(email=OWNER).update(is_active=False)
    spend(customer, "6")
    assert letters() == LOW[:1]


def test_a_handler_that_runs_again_writes_nothing_again(customer):
    spend(customer, "6")
    settle_news()
    DomainEvent.objects.filter(type="credits.low").update(dispatched_at=None, handled_by=None)
    assert letters() == LOW


def test_the_letter_says_the_exact_figures_and_where_to_look(customer, settings):
    settings.PUBLIC_URL = "https://credit.example.com"
    spend(customer, "6.000000000001")
    settle_news()
    send_emails(at=timezone.now())
    letter = next(each for each in mail.outbox if each.to == [OWNER])
    assert "has fallen below $5.00" in letter.body and "https://credit.example.com/dashboard/" in letter.body
    assert letter.subject.startswith("Analytical Engines: credit runs low")
    assert "Balance:     $3.999999999999" in letter.body


def test_parallel_detectors_write_once(customer):
    set_low_balance_alert(organization_id=customer.id, threshold=None)
    spend(customer, "9.5")
    run_parallel([lambda: detect_shortages(at=timezone.now()) for _ in range(6)])
    assert len(letters()) == 2


# ---------------------------------------------------------------- expiring credit


def test_a_wallet_whose_people_cannot_be_told_keeps_no_other_waiting(customer, monkeypatch):
    other = make_customer(owner=make_user(email="other@example.com"), name="Other")
    set_low_balance_alert(organization_id=other.id, threshold=usd("5"))
    for organization in (customer, other):
        grant(organization, "1", expires_at=timezone.now() + timedelta(days=3))
    spend(customer, "11")
    spend(other, "0.5")
    first = min(customer.id, other.id)
    DomainEvent.objects.all().delete()
    plain = alerts.billing_contacts

    def broken(organization_id):
        if organization_id == first:
            raise ZeroDivisionError("broken")
        return plain(organization_id)

    monkeypatch.setattr(alerts, "billing_contacts", broken)
    detect_shortages(at=timezone.now())
    detect_expiring(at=timezone.now())
    assert first not in CreditAlert.objects.values_list("organization_id", flat=True)
    assert CreditAlert.objects.exists()


def expiring(customer, days, amount="3", kind="bonus"):
    grant(customer, amount, kind=kind, expires_at=timezone.now() + timedelta(days=days))


def test_credit_that_ends_within_a_week_is_announced_once_in_one_letter(customer):
    expiring(customer, 3)
    expiring(customer, 6, amount="2.5", kind="purchased")
    expiring(customer, 8)
    assert detect_expiring(at=timezone.now()) == 2
    assert letters() == [(each, "Analytical Engines: $5.50 of credit expires soon") for each in (BILLING, OWNER)]
    assert detect_expiring(at=timezone.now()) == 0
    body = EmailDelivery.objects.first().body
    assert "$3.00  bonus, until" in body and "$2.50  purchased, until" in body
    assert detect_expiring(at=timezone.now() + timedelta(days=2)) == 1  # the third has come near
    assert len(letters()) == 4


def test_monthly_and_spent_credit_is_not_announced(customer):
    expiring(customer, 3, kind="allocated")
    expiring(customer, 3, amount="0.009")
    assert detect_expiring(at=timezone.now()) == 0
    expiring(customer, 3, amount="2")
    Lot.objects.filter(kind="bonus").update(remaining=0)
    assert detect_expiring(at=timezone.now()) == 0


def test_parallel_detectors_announce_an_end_once(customer):
    expiring(customer, 3)
    run_parallel([lambda: detect_expiring(at=timezone.now()) for _ in range(6)])
    assert len(letters()) == 2 and CreditAlert.objects.count() == 1


def test_closing_ends_only_what_is_over(customer):
    spend(customer, "6")
    settle_news()
    assert close_shortages(at=timezone.now()) == 0
    set_low_balance_alert(organization_id=customer.id, threshold=usd("4"))
    assert close_shortages(at=timezone.now()) == 1


def test_the_detectors_cost_the_same_for_any_number_of_wallets_that_are_well(customer, django_assert_num_queries):
    for _ in range(4):
        grant(make_customer(owner=make_user()), "10")
    with django_assert_num_queries(1):
        detect_shortages(at=timezone.now())
    with django_assert_num_queries(1):
        detect_expiring(at=timezone.now())
    with django_assert_num_queries(1):
        close_shortages(at=timezone.now())

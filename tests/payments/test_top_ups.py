"""Automatic top-ups: once for each shortage, within the monthly cap, paused by a declined card."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from core.errors import InvalidRequest
from credits.services import HoldRequest, deduct_credits, grant_credits, place_hold
from outbox import taskruns
from outbox.models import DomainEvent, TaskRun
from outbox.services import dispatch_events
from payments import services
from payments.errors import NoAutoTopUp, NoPaymentMethod
from payments.models import AutoTopUp, Payment
from payments.services import top_ups
from tests.builders import NOON, make_funded, make_organization, usd
from tests.payments.building import balance_of, with_card

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def provider(settings):
    settings.PAYMENT_PROVIDER = "sandbox"


def set_rule(organization, threshold="5", amount="20", cap=None, **fields):
    fields = {"actor": "ada", "at": NOON, "monthly_cap": None if cap is None else usd(cap), **fields}
    return services.set_auto_top_up(
        organization_id=organization.pk, threshold=usd(threshold), amount=usd(amount), **fields
    )


def spend(organization, amount, at=NOON):
    deduct_credits(organization_id=organization.pk, amount=usd(amount), reason="use", actor="test", at=at)


def evaluate(at=NOON):
    asked = services.evaluate_top_ups(at=at)
    services.submit_due(at=at)
    return asked


def short(card="test_card_ok", **rule):
    """An organization with 10 USD that tops up by 20 below 5."""
    organization = make_funded("10")
    with_card(organization, card)
    set_rule(organization, **rule)
    return organization


def test_credit_is_bought_when_less_than_the_threshold_is_left():
    organization = short()
    spend(organization, "5")
    assert evaluate() == 0  # exactly the threshold is enough
    spend(organization, "0.01")
    assert evaluate() == 1
    assert balance_of(organization) == usd("24.99")
    assert evaluate() == 0
    payment = Payment.objects.get()
    assert (payment.purpose, payment.status, payment.amount, payment.credits) == ("top_up", "succeeded", 20, 20)


def test_one_shortage_asks_once_while_its_payment_is_on_its_way():
    organization = short()
    spend(organization, "9")
    assert [services.evaluate_top_ups(at=NOON) for _ in range(5)] == [1, 0, 0, 0, 0]
    services.submit_due(at=NOON)
    assert balance_of(organization) == 21
    spend(organization, "20")
    assert evaluate() == 1
    assert balance_of(organization) == 21


def test_a_declined_card_pauses_the_rule_until_another_is_saved():
    organization = short("test_card_later")
    spend(organization, "9")
    assert [evaluate(NOON + timedelta(hours=hour)) for hour in range(3)] == [1, 0, 0]
    rule = AutoTopUp.objects.get()
    assert (rule.paused_at, rule.pause_reason) == (NOON, "The test card was declined.")
    assert Payment.objects.get().status == "failed"
    assert DomainEvent.objects.filter(type="auto_top_up.paused").count() == 1
    with_card(organization)
    assert evaluate(NOON + timedelta(hours=4)) == 1
    assert balance_of(organization) == 21


def test_the_cap_holds_for_the_calendar_month_of_the_organizations_zone():
    organization = short(cap="40")
    organization.time_zone = "America/New_York"
    organization.save()
    # 03:00 UTC on 1 April is still March in New York
    moments = [NOON, NOON + timedelta(days=1), NOON + timedelta(days=2), datetime(2026, 4, 1, 3, tzinfo=UTC)]
    asked = []
    for at in moments:
        if balance_of(organization) > 1:
            spend(organization, str(balance_of(organization) - 1), at=at)
        asked.append(evaluate(at))
    assert asked == [1, 1, 0, 0]
    assert DomainEvent.objects.filter(type="auto_top_up.capped").count() == 1
    assert evaluate(datetime(2026, 4, 1, 4, tzinfo=UTC)) == 1


def test_held_credit_counts_as_gone_and_later_credit_as_not_there():
    organization = short()
    later = {"kind": "bonus", "reason": "later", "actor": "test", "effective_at": NOON + timedelta(days=30)}
    grant_credits(organization_id=organization.pk, amount=usd("50"), at=NOON, **later)
    place_hold(HoldRequest(organization.pk, usd("6"), "h", NOON + timedelta(hours=1)), at=NOON)
    assert evaluate() == 1


def test_running_low_is_acted_upon_without_waiting_for_the_beat():
    organization = short()
    spend(organization, "10")
    dispatch_events(at=NOON + timedelta(minutes=1))
    assert Payment.objects.get().organization_id == organization.pk


@pytest.mark.parametrize("state", ["disabled", "removed"])
def test_a_rule_that_is_off_buys_nothing(state):
    organization = short()
    if state == "disabled":
        set_rule(organization, is_enabled=False)
    else:
        services.remove_auto_top_up(organization_id=organization.pk, actor="ada", at=NOON)
    spend(organization, "9")
    assert evaluate() == 0
    assert services.evaluate_top_up(organization_id=organization.pk, at=NOON) is None


def test_a_rule_needs_something_to_charge():
    organization = make_organization()
    with pytest.raises(NoPaymentMethod):
        set_rule(organization)
    with pytest.raises(NoAutoTopUp):
        services.remove_auto_top_up(organization_id=organization.pk, actor="ada", at=NOON)
    assert not AutoTopUp.objects.exists()


@pytest.mark.parametrize(
    "terms",
    [
        {"threshold": "-1"},
        {"amount": "0.99"},
        {"amount": "1.001"},
        {"amount": "100000.01"},
        {"amount": "20", "cap": "19"},
    ],
)
def test_terms_that_make_no_sense_are_refused(terms):
    organization = make_organization()
    with_card(organization)
    with pytest.raises(InvalidRequest):
        set_rule(organization, **terms)
    assert not AutoTopUp.objects.exists()


def test_one_that_fails_keeps_no_other_from_its_top_up_and_is_told_of(monkeypatch):
    broken, well = sorted([short(), short()], key=lambda each: each.pk)
    for organization in (broken, well):
        spend(organization, "9")
    plain = top_ups.request_payment

    def request_payment(*, organization_id, **fields):
        if organization_id == broken.pk:
            raise RuntimeError("the disk is on fire")
        return plain(organization_id=organization_id, **fields)

    monkeypatch.setattr(top_ups, "request_payment", request_payment)
    taskruns.on_start(task=(task := SimpleNamespace(name="top_up", request=SimpleNamespace(is_eager=False))))
    asked = services.evaluate_top_ups(at=NOON, limit=1)
    taskruns.on_end(task=task, retval=asked, state="SUCCESS")
    assert [payment.organization_id for payment in Payment.objects.all()] == [well.pk]
    assert AutoTopUp.objects.get(pk=broken.pk).count == 0
    run = TaskRun.objects.get()
    assert (run.outcome, run.rows, run.error) == ("troubled", 1, f"{broken.pk}: RuntimeError: the disk is on fire")

"""A wrong price set right: what would change is told first, applied once however often it runs, undone exactly."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from accounts.principal import Actor
from core.errors import InvalidRequest
from credits.models import CreditAccount, LedgerEntry
from credits.services import deduct_credits, refund_charge
from metering.errors import ReratingNotReady
from metering.metered.hits import hits_of
from metering.metered.models import MeteredCounter
from metering.metered.terms import checked_metered_prices
from metering.models import ReratedEvent, Rerating, UsageCorrection, UsageEvent
from metering.receipt import receipt_of
from metering.rerating import services, trying
from metering.rerating.services import apply_rerating, reverse_rerating, try_rerating, work_off_reratings
from metering.services import create_meter, record_usage
from outbox.models import DomainEvent
from tests.advice.recorded import TEN, make_use
from tests.builders import NOON, make_funded, make_user, usd
from tests.metering.reporting import make_model, make_reporter
from tests.metering.sums import counted, stored
from tiers.querysets import metered_prices_at
from tiers.services import create_tier, subscribe

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=10)
ME = Actor("ada@example.com")
MODEL = "vendor/model"
RIGHT = {"prompt": "0.0000005", "completion": "0.000001"}  # half of what was charged


def uses(organization, count=6, **fields):
    records = [
        make_use(
            organization, MODEL, at=START + timedelta(hours=9 * number), prompt=100_000, components=[TEN], **fields
        )
        for number in range(count)
    ]
    assert {each.status for each in record_usage(records, at=START)} == {"recorded"}


@pytest.fixture
def world():
    price = make_model(MODEL)
    first, second = make_funded("10", name="First"), make_funded("10", name="Second")
    uses(first)
    uses(second, count=2, tags={"feature": "x"})
    uses(second, count=1, cost="0.5")  # the provider's own figure
    return price, first, second


def tried(price, pricing=RIGHT, **fields):
    fields = {"starts_at": START, "ends_at": END, "reason": "Typing error", "actor": ME, "at": START, **fields}
    return try_rerating(price_id=price.pk, pricing=pricing, **fields)


def balances(*organizations):
    return [CreditAccount.objects.get(pk=each.pk).balance for each in organizations]


def figures():
    rows = UsageEvent.objects.filter(voided_at__isnull=True).order_by("occurred_at", "organization_id", "charge")
    names = ("organization_id", "occurred_at", "provider_cost", "markup", "charge", "price_id", "derivation", "tags")
    return list(rows.values(*names))


ONE = usd("0.1004") * usd("1.1")  # 100,000 tokens in and 200 out at the wrong price, with ten per cent


def test_trying_tells_what_would_change_and_moves_nothing(world):
    price, first, second = world
    before = (balances(first, second), figures(), LedgerEntry.objects.count())
    rerating = tried(price)
    assert [(row["name"], row["events"], usd(row["difference"])) for row in rerating.report] == [
        ("First", 6, -6 * ONE / 2),
        ("Second", 2, -2 * ONE / 2),
    ]
    assert (rerating.status, rerating.expected, rerating.difference) == ("tried", 8, -8 * ONE / 2)
    assert work_off_reratings() == 0
    assert (balances(first, second), figures(), LedgerEntry.objects.count()) == before


def test_a_trial_keeps_no_more_than_a_handful_of_events_in_memory(world, monkeypatch):
    price, *_ = world
    keep, sizes = ReratedEvent.objects.bulk_create, []

    def noting(rows):
        sizes.append(len(rows))
        return keep(rows)

    monkeypatch.setattr(trying, "_CHUNK", 2)
    monkeypatch.setattr(ReratedEvent.objects, "bulk_create", noting)
    assert (tried(price).expected, ReratedEvent.objects.count()) == (8, 8)
    assert max(sizes) == 2


def test_a_long_trial_is_a_workers_who_says_how_far_it_is_and_goes_on_where_it_stopped(world, monkeypatch):
    price, *_ = world
    at_once = tried(price)
    monkeypatch.setattr(services, "AT_ONCE", -1)
    rerating = tried(price)
    assert (rerating.status, rerating.examined, rerating.to_examine, rerating.report) == ("trying", 0, 9, [])
    with pytest.raises(ReratingNotReady):
        apply_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    assert trying.try_next(rerating.pk)  # then it was stopped
    rerating.refresh_from_db()
    assert (rerating.status, rerating.examined, len(rerating.report)) == ("trying", 6, 1)
    assert work_off_reratings() == 1
    rerating.refresh_from_db()
    assert (rerating.status, rerating.examined) == ("tried", 9)
    for name in ("report", "expected", "difference"):
        assert getattr(rerating, name) == getattr(at_once, name)
    assert rerating.events.count() == 8 and work_off_reratings() == 0


def test_applying_charges_each_event_anew_and_reversing_is_exact(world):
    price, first, second = world
    before, was = balances(first, second), figures()
    rerating = tried(price)
    apply_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    assert work_off_reratings(limit=3) == 3
    rerating.refresh_from_db()
    assert rerating.status == "applying"  # killed here, it goes on
    assert work_off_reratings() == 5
    rerating.refresh_from_db()
    assert (rerating.status, work_off_reratings()) == ("applied", 0)
    assert balances(first, second) == [before[0] + 6 * ONE / 2, before[1] + 2 * ONE / 2]
    assert stored() == counted()
    new = UsageEvent.objects.filter(voided_at__isnull=True, organization_id=first.pk).first()
    assert (new.charge, new.derivation["rerated"]["id"]) == (ONE / 2, str(rerating.pk))
    assert not receipt_of(new).problem
    with pytest.raises(ReratingNotReady):
        apply_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    reverse_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    assert work_off_reratings() == 8
    assert (balances(first, second), figures()) == (before, was)
    assert stored() == counted()
    told = DomainEvent.objects.filter(type__startswith="rerating.").order_by("created_at", "id")
    assert sorted((each.type, each.actor_label, each.data["reason"]) for each in told) == [
        ("rerating.applied", ME.label, "Typing error"),
        ("rerating.reversed", ME.label, "Typing error"),
    ]
    assert set(UsageCorrection.objects.values_list("reason", "actor")) == {("Typing error", ME.label)}


def test_a_run_that_dies_between_leaves_each_event_whole(world, monkeypatch):
    price, *_ = world
    rerating = tried(price)
    apply_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    correct = services.correct_event

    def dying(**fields):
        correct(**fields)
        raise SystemExit

    monkeypatch.setattr(services, "correct_event", dying)
    with pytest.raises(SystemExit), transaction.atomic():
        work_off_reratings()
    assert not UsageCorrection.objects.exists() and not ReratedEvent.objects.exclude(status="waiting").exists()
    monkeypatch.undo()
    assert work_off_reratings() == 8
    assert UsageCorrection.objects.count() == 8


def test_an_event_that_cannot_be_paid_is_refused_alone(world):
    price, first, second = world
    balance = balances(first)[0]
    deduct_credits(organization_id=first.pk, amount=balance, reason="r", actor="t", at=START, allow_overage=False)
    rerating = tried(price, {"prompt": "0.000002", "completion": "0.000002"})
    apply_rerating(rerating_id=rerating.pk, actor=ME, at=timezone.now())
    work_off_reratings()
    states = rerating.events.values_list("organization_id", "status")
    assert {state for owner, state in states if owner == first.pk} == {"refused"}
    assert {state for owner, state in states if owner == second.pk} == {"changed"}
    assert balances(first) == [Decimal(0)]
    assert UsageEvent.objects.filter(organization_id=first.pk, voided_at__isnull=False).count() == 0


def test_what_was_given_back_is_not_charged_again(world):
    price, first, _second = world
    one, two, three, *_ = UsageEvent.objects.filter(organization_id=first.pk).order_by("occurred_at")

    def give_back(event):
        posting = {"reason": "sorry", "actor": "t", "at": timezone.now()}
        refund_charge(organization_id=first.pk, entry_id=event.entry_id, amount=event.charge, **posting)

    give_back(one)
    rerating = tried(price)
    assert rerating.expected == 7 and not rerating.events.filter(event_id=one.pk).exists()
    give_back(two)
    apply_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    assert work_off_reratings() == 7
    assert balances(first) == [10 - 4 * ONE / 2]
    give_back(UsageEvent.objects.get(corrects_id=three.pk))
    reverse_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    work_off_reratings()
    assert balances(first) == [10 - 3 * ONE]
    assert set(rerating.events.filter(status="refused").values_list("event_id", flat=True)) == {two.pk, three.pk}
    rerating.refresh_from_db()
    assert rerating.status == "reversed"


def test_what_is_given_back_while_it_is_charged_anew_is_left_alone_too(world, monkeypatch):
    price, first, _second = world
    rerating, plain = tried(price), services.correct_event

    def meanwhile(**asked):
        event = UsageEvent.objects.get(pk=asked["event_id"])
        refund_charge(organization_id=event.organization_id, entry_id=event.entry_id, reason="r", actor="t", at=START)
        return plain(**asked)

    monkeypatch.setattr(services, "correct_event", meanwhile)
    apply_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    assert work_off_reratings() == 8
    assert set(rerating.events.values_list("status", flat=True)) == {"refused"}
    assert not UsageCorrection.objects.exists() and balances(first) == [10 - 6 * ONE]


def test_one_that_fails_keeps_no_other_waiting(world, monkeypatch):
    price, first, _second = world
    other = make_model("vendor/other")
    record_usage([make_use(first, "vendor/other", at=START, prompt=100_000, components=[TEN])], at=START)
    broken, sound, plain = tried(price), tried(other), services._one
    assert (broken.expected, sound.expected) == (8, 1)
    for each in (broken, sound):
        apply_rerating(rerating_id=each.pk, actor=ME, at=START)

    def one(rerating):
        if rerating.pk == broken.pk:
            raise RuntimeError("torn")
        return plain(rerating)

    monkeypatch.setattr(services, "_one", one)
    assert work_off_reratings() == 1
    sound.refresh_from_db()
    broken.refresh_from_db()
    assert (sound.status, broken.status) == ("applied", "applying")
    monkeypatch.undo()
    assert work_off_reratings() == 8  # the next run goes on with it


def test_an_event_counts_on_the_meters_of_the_tier_of_its_time_not_of_today():
    price = make_model(MODEL)
    calls = {"conjunction": "and", "clauses": [{"property": "event.model", "operator": "eq", "value": MODEL}]}
    create_meter(organization_id=None, name="Calls", filter=calls, aggregation={"func": "count"}, at=START)
    wanted = {"meter": "Calls", "mode": "credits", "price": {"model": "per_unit", "unit_amount": "1"}}
    organization = make_reporter("10", metered_prices=checked_metered_prices([wanted]))
    event = make_use(organization, MODEL, at=NOON, prompt=100_000, components=[TEN])
    event.metered = hits_of(event, metered_prices_at(organization.pk, NOON))
    record_usage([event], at=NOON)
    subscribe(
        organization_id=organization.pk,
        tier_slug=create_tier(slug="plain", name="Plain", at=START).slug,
        at=NOON + timedelta(hours=1),
        actor=ME,
    )
    assert balances(organization) == [10 - ONE - 1]
    rerating = tried(price)
    apply_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    assert work_off_reratings() == 1
    assert (balances(organization), MeteredCounter.objects.get().quantity) == ([10 - ONE / 2 - 1], 1)
    reverse_rerating(rerating_id=rerating.pk, actor=ME, at=START)
    assert work_off_reratings() == 1
    assert (balances(organization), MeteredCounter.objects.get().quantity) == ([10 - ONE - 1], 1)


def test_what_cannot_be_is_refused_and_two_of_one_price_are_never_in_force(world):
    price, *_ = world
    for fields in ({"ends_at": START}, {"reason": " "}, {"pricing": {"prompt": "-1", "completion": "0"}}):
        with pytest.raises(InvalidRequest):
            tried(price, **fields)
    assert not Rerating.objects.exists()
    one, other = tried(price), tried(price)
    apply_rerating(rerating_id=one.pk, actor=ME, at=START)
    with pytest.raises(ReratingNotReady):
        apply_rerating(rerating_id=other.pk, actor=ME, at=START)
    with pytest.raises(ReratingNotReady):
        reverse_rerating(rerating_id=one.pk, actor=ME, at=START)


def test_operators_try_apply_and_reverse_in_the_back_office_and_at_the_prompt(world, client, capsys):
    price, first, _second = world
    client.force_login(make_user(is_staff=True, is_superuser=True))
    where = f"/admin/metering/rerating/add/?price={price.pk}"
    assert where in client.get(f"/admin/metering/modelprice/{price.pk}/change/").content.decode()
    page = client.get(where).content.decode()
    assert str(price.pk) in page and "0.000001" in page
    form = {"price": price.pk, "pricing": "{", "first": "2026-03-01", "last": "2026-03-31", "reason": "Typing error"}
    assert "This is not JSON." in client.post("/admin/metering/rerating/add/", form).content.decode()
    form["pricing"] = '{"prompt": "0.0000005", "completion": "0.000001"}'
    answer = client.post("/admin/metering/rerating/add/", form, follow=True)
    assert "nothing has moved" in answer.content.decode() and "First" in answer.content.decode()
    where = answer.redirect_chain[-1][0].replace("change/", "")
    assert client.get(f"{where}apply/").status_code == 405
    client.post(f"{where}apply/")
    before = balances(first)
    assert work_off_reratings() == 8
    page = client.get(f"{where}change/").content.decode()
    assert "Reverse it" in page and "given back" in page
    assert len(client.get(f"{where}events.csv").content.decode().splitlines()) == 9
    rerating = Rerating.objects.get()
    call_command("rerate", "reverse", str(rerating.pk), actor="ops")
    assert balances(first) == before and "reversed, 8 events" in capsys.readouterr().out
    days = {"first": START.date(), "last": END.date(), "reason": "again", "actor": "ops"}
    call_command("rerate", "try", str(price.pk), pricing=form["pricing"], **days)
    assert "First: 6 events" in capsys.readouterr().out

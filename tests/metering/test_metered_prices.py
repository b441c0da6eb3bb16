"""Metered prices of tiers: an event is charged what it changes of the period's price, when it is recorded."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
import time_machine

from accounts.principal import Actor
from core.errors import InvalidRequest
from credits.audit import audit_books
from credits.errors import InsufficientCredits
from credits.models import Hold, LedgerEntry
from credits.services import HoldRequest, grant_credits, place_hold, refund_charge, set_overage_limit
from credits.statements.lines import Range
from metering.customer_events import CustomerEvent
from metering.errors import NegativeUsage
from metering.metered.hits import hits_of
from metering.metered.models import MeteredCharge, MeteredCounter
from metering.metered.terms import checked_metered_prices
from metering.models import UsageEvent
from metering.price_models import price_of
from metering.services import create_meter, ingest_events, record_usage
from metering.statement_usage import usage_of_statements
from payments.models import Payment, Purpose
from tests.builders import NOON, make_record, usd
from tests.metering.metered import GRADUATED, UNITS, VOLUME, amounts, balance, counter, make_metered, take_back, use
from tests.metering.reporting import Reporter
from tiers.close.services import close_due
from tiers.models import Subscription
from tiers.querysets import terms_for
from tiers.services import subscribe
from tiers.services.subscriptions import set_collection

pytestmark = pytest.mark.django_db


def test_an_event_is_charged_what_it_adds_to_the_periods_price():
    organization = make_metered(credit="12")
    use(organization, "8", "4")  # 2 above what is included
    use(organization, "10", "0.5")  # to 10 above at 1, the rest at 0.5
    assert amounts(organization) == [
        ("use", 8, 0),
        ("use", 4, 2),
        ("use", 10, 9),
        ("use", Decimal("0.5"), Decimal("0.25")),
    ]
    assert price_of(Decimal("22.5"), GRADUATED) == Decimal("11.25")


def test_credits_pay_and_the_books_add_up():
    organization = make_metered(credit="12")
    use(organization, "8", "4", "10", "0.5")
    assert counter(organization) == (Decimal("22.5"), Decimal("11.25"), Decimal("11.25"), 0)
    assert balance(organization) == Decimal("0.75")
    entries = LedgerEntry.objects.filter(account=organization.pk, kind="charge")
    assert {entry.reason for entry in entries} == {f"Usage: {MeteredCounter.objects.get().meter_name}"}
    assert audit_books() == []


def test_what_credit_and_overage_do_not_cover_is_refused_whole():
    organization = make_metered(credit="2")
    with pytest.raises(InsufficientCredits):
        use(organization, "12", "1")
    assert (balance(organization), MeteredCharge.objects.count(), MeteredCounter.objects.count()) == (2, 0, 0)
    assert not UsageEvent.objects.filter(organization=organization).exists()
    use(organization, "12")
    assert balance(organization) == 0


@time_machine.travel(NOON, tick=False)
def test_natively_the_events_that_credit_covers_are_recorded():
    organization = make_metered(credit="3")
    reporter = Reporter(organization)
    numbers = [12, 1, 2, 0, 3]
    status, answer = reporter.track_batch(
        [{"name": "unit", "external_id": f"e{n}", "metadata": {"n": number}} for n, number in enumerate(numbers)]
        + [{"name": "other", "metadata": {"n": 9}}]
    )
    assert status == 207
    # 2, then 1; nothing is left for 2 more, and what is counted on top of those waits with them
    said = [one["status"] for one in answer["results"]]
    assert said == ["recorded", "recorded", "refused", "recorded", "refused", "recorded"]
    assert answer["results"][2]["error"]["code"] == "insufficient_credits"
    assert counter(organization) == (13, 3, 3, 0)
    grant_credits(organization_id=organization.pk, amount=usd("9"), kind="bonus", reason="r", actor="t", at=NOON)
    assert reporter.track({"name": "unit", "external_id": "e2", "metadata": {"n": 2}})[0] == 201  # sent again
    assert counter(organization) == (15, 5, 5, 0)
    assert audit_books() == []


@time_machine.travel(NOON, tick=False)
@pytest.mark.parametrize("number", [10**25, -(10**15), 10**14])
def test_what_no_counter_can_hold_is_refused_alone(number):
    organization = make_metered({"model": "per_unit", "unit_amount": "0.01"}, mode="priced")
    status, answer = Reporter(organization).track_batch(
        [{"name": "unit", "metadata": {"n": n}} for n in (1, number, 2)]
    )
    assert status == 207
    assert [one["status"] for one in answer["results"]] == ["recorded", "refused", "recorded"]
    assert answer["results"][1]["error"]["code"] == "amount_too_large"
    assert counter(organization) == (3, Decimal("0.03"), 0, Decimal("0.03"))


@time_machine.travel(NOON, tick=False)
def test_steps_are_told_to_the_last_digit():
    organization = make_metered({"model": "per_unit", "unit_amount": "0.00001"}, mode="priced")
    [event] = use(organization, "12345678901.123456789012345678")
    [step] = Reporter(organization).ask("GET", f"metering/events/{event}/explain")[1]["metered"]
    assert step["sum"].startswith("0 → 12345678901.123456789012345678 in")


def test_overage_pays_as_far_as_the_tier_allows():
    organization = make_metered(credit="1")
    set_overage_limit(organization_id=organization.pk, limit=usd("1"))
    use(organization, "12")
    assert (balance(organization), counter(organization)) == (-1, (12, 2, 2, 0))
    with pytest.raises(InsufficientCredits):
        use(organization, "1")


def test_taking_an_event_back_takes_the_last_units_price_back():
    organization = make_metered(credit="20")
    first, second = use(organization, "10", "11")  # 0, then 10 at 1 and 1 at 0.5
    assert balance(organization) == Decimal("9.5")
    take_back(organization, first)  # 11 are left: 1 above what is included
    assert (balance(organization), counter(organization)) == (19, (11, 1, 1, 0))
    take_back(organization, first)  # once
    take_back(organization, second)
    assert (balance(organization), counter(organization)) == (20, (0, 0, 0, 0))
    assert audit_books() == []


def test_a_volume_price_may_fall_with_more_and_rise_with_less():
    organization = make_metered(VOLUME, credit="120")
    first, second = use(organization, "100", "1")
    assert amounts(organization) == [("use", 100, 100), ("use", 1, Decimal("-49.5"))]
    assert (balance(organization), counter(organization)) == (
        Decimal("69.5"),
        (101, Decimal("50.5"), Decimal("50.5"), 0),
    )
    take_back(organization, second)
    assert (balance(organization), counter(organization)) == (20, (100, 100, 100, 0))
    take_back(organization, first)
    assert (balance(organization), counter(organization)) == (120, (0, 0, 0, 0))
    assert audit_books() == []


@time_machine.travel(NOON, tick=False)
def test_a_correction_counts_as_its_new_self_within_the_credit_that_it_frees():
    organization = make_metered(credit="2")
    [event] = use(organization, "12")
    reporter = Reporter(organization)
    body = {"reason": "miscounted", "event": {"name": "unit", "metadata": {"n": 11}}}
    assert reporter.ask("POST", f"metering/events/{event}/correct", body)[0] == 200
    assert (balance(organization), counter(organization)) == (1, (11, 1, 1, 0))
    assert audit_books() == []


def test_priced_usage_is_owed_and_billed_when_the_period_ends():
    price = {"model": "per_unit", "unit_amount": "0.001", "minimum": "0.05"}
    organization = make_metered(price, mode="priced", credit="1", monthly_price=usd("0"))
    # a tier may ask for money by its meters alone
    set_collection(organization_id=organization.pk, collection="manual", at=NOON, actor=Actor("operator"))
    use(organization, "1234")
    assert (balance(organization), counter(organization)) == (1, (1234, Decimal("1.234"), 0, Decimal("1.234")))
    over = Subscription.objects.get(organization=organization).period_ends_at
    close_due(at=over)
    bill = Payment.objects.get(organization=organization, purpose=Purpose.OVERAGE)
    assert (bill.amount, bill.credits, bill.subject["metered"]) == (Decimal("1.23"), 0, "1.23")
    later = over + timedelta(hours=1)
    use(organization, "1", at=later)  # a new period counts from nothing
    rows = MeteredCounter.objects.filter(organization=organization).order_by("period_index")
    assert [(row.quantity, row.owed) for row in rows] == [(1234, Decimal("1.234")), (1, Decimal("0.001"))]
    close_due(at=Subscription.objects.get(organization=organization).period_ends_at)
    second = Payment.objects.filter(organization=organization, purpose=Purpose.OVERAGE).latest("created_at")
    assert second.amount == Decimal("0.05")  # the minimum and 0.004 that waited, in whole cents
    close_due(at=Subscription.objects.get(organization=organization).period_ends_at)
    third = Payment.objects.filter(organization=organization, purpose=Purpose.OVERAGE).latest("created_at")
    assert (third.amount, MeteredCounter.objects.filter(organization=organization).count()) == (Decimal("0.05"), 3)


def test_whoever_moves_to_a_tier_priced_by_meters_alone_goes_on_paying_for_usage():
    at = NOON + timedelta(days=1)
    paid = make_metered(mode="priced", monthly_price=usd("10"))
    metered = make_metered(mode="priced", monthly_price=usd("0"))
    set_collection(organization_id=paid.pk, collection="manual", at=NOON, actor=Actor("operator"))
    slug = Subscription.objects.get(organization=metered).tier.slug
    after = subscribe(organization_id=paid.pk, tier_slug=slug, at=at, actor=Actor("operator"))
    assert after.collection == "manual"


@pytest.mark.parametrize("mode", ["credits", "priced"])
def test_an_event_that_adds_nothing_leaves_no_trace(mode):
    organization = make_metered(mode=mode)
    events = [CustomerEvent(name="unit", metadata={"n": "7"}), CustomerEvent(name="other", metadata={"n": 7})]
    ingest_events(organization_id=organization.pk, events=events, at=NOON)
    assert not MeteredCounter.objects.exists()


@pytest.mark.parametrize(
    "change",
    [{"mode": "free"}, {"meter": "none such"}, {"price": {"model": "per_unit"}}, {"price": None}],
    ids=["mode", "meter", "price", "none"],
)
def test_a_tier_is_refused_prices_that_say_nothing(change):
    create_meter(organization_id=None, name="Units", at=NOON, **UNITS)
    good = {"meter": "Units", "mode": "credits", "price": {"model": "per_unit", "unit_amount": "1"}}
    assert checked_metered_prices([good])[0]["filter"] == UNITS["filter"]
    with pytest.raises(InvalidRequest):
        checked_metered_prices([{**good, **change}])
    with pytest.raises(InvalidRequest):
        checked_metered_prices([good, good])


def test_a_price_rests_on_what_adds_up():
    create_meter(
        organization_id=None, name="Peak", at=NOON, filter=UNITS["filter"], aggregation={"func": "max", "property": "n"}
    )
    with pytest.raises(InvalidRequest):
        checked_metered_prices([{"meter": "Peak", "mode": "credits", "price": GRADUATED}])


@time_machine.travel(NOON, tick=False)
def test_an_event_is_explained_by_what_it_changed_and_statements_name_the_meter():
    organization = make_metered(credit="20")
    first, second = use(organization, "12", "10.5")
    take_back(organization, first)
    reporter, name = Reporter(organization), MeteredCounter.objects.get().meter_name
    answer = reporter.ask("GET", f"metering/events/{second}/explain")[1]
    step = {"label": name, "sum": "12 → 22.5 in the period, priced graduated, from credits", "amount": "9.25"}
    assert (answer["metered"], answer["agrees"]) == ([step], True)
    assert f"Meter “{name}”: 12 → 22.5 in the period, priced graduated, from credits: $9.25." in answer["words"]
    taken = reporter.ask("GET", f"metering/events/{first}/explain")[1]["metered"]
    assert [row["amount"] for row in taken] == ["2", "-10.75"]
    MeteredCharge.objects.filter(event_id=second).update(amount=9)
    assert reporter.ask("GET", f"metering/events/{second}/explain")[1]["agrees"] is False
    [lines] = usage_of_statements([Range(organization.pk, NOON - timedelta(days=1), NOON + timedelta(days=1))])
    assert [(line.section, line.label, line.events, line.charge) for line in lines] == [
        ("meter", name, 2, Decimal("11.25"))
    ]


def call(organization, units, *, source="gateway", charge="0.5"):
    """A call whose hold of 1 USD is settled to ``charge`` and that adds ``units``; its record and what became of it."""
    request = HoldRequest(organization.pk, usd("1"), f"k{units}", NOON + timedelta(hours=1), purpose=source)
    hold = place_hold(request, at=NOON)
    facts = {"name": "unit", "hold_id": hold.hold_id, "metadata": {"n": units}, "occurred_at": NOON}
    record = make_record(organization, charge, source=source, **facts)
    record.metered = hits_of(record, terms_for(organization.pk).metered_prices)
    [outcome] = record_usage([record], at=NOON)
    return record, outcome


def test_what_a_gateway_call_costs_beyond_the_credit_is_owed():
    organization = make_metered(credit="3")
    record, outcome = call(organization, 15)
    assert (outcome.status, balance(organization)) == ("recorded", Decimal("2.5"))  # 5 do not fit into 2.5
    assert counter(organization) == (15, 5, 0, 5)
    take_back(organization, record.id)
    assert (balance(organization), counter(organization)) == (3, (0, 0, 0, 0))
    assert audit_books() == []


def test_a_hold_of_the_callers_own_pays_for_no_more_than_there_is():
    organization = make_metered(credit="3")
    record, outcome = call(organization, 15, source="api")
    assert (outcome.status, balance(organization)) == ("insufficient", 3)
    assert not UsageEvent.objects.filter(id=record.id).exists() and not MeteredCounter.objects.exists()
    assert Hold.objects.get(id=record.hold_id).status == "open"
    [outcome] = record_usage([msgspec.structs.replace(record, metered=())], at=NOON)
    assert (outcome.status, outcome.charged) == ("recorded", Decimal("0.5"))  # the hold is as good as it was
    assert audit_books() == []


@time_machine.travel(NOON, tick=False)
def test_correcting_a_call_spends_no_more_than_there_is():
    organization = make_metered(credit="3")
    record, _ = call(organization, 12)
    body = {"reason": "miscounted", "event": {"name": "unit", "cost": "0.5", "metadata": {"n": 100}}}
    status, answer = Reporter(organization).ask("POST", f"metering/events/{record.id}/correct", body)
    assert (status, answer["code"]) == (402, "insufficient_credits")
    assert (balance(organization), counter(organization)) == (Decimal("0.5"), (12, 2, 2, 0))


def test_taking_back_what_was_never_paid_gives_no_credit():
    organization = make_metered(credit="6")
    [paid] = use(organization, "15")
    owing, _ = call(organization, 5, charge="1")
    assert (balance(organization), counter(organization)) == (0, (20, 10, 5, 5))
    take_back(organization, owing.id)
    assert (balance(organization), counter(organization)) == (1, (15, 5, 5, 0))  # 1: the call's own charge
    take_back(organization, paid)
    assert (balance(organization), counter(organization)) == (6, (0, 0, 0, 0))
    assert sum(MeteredCharge.objects.values_list("owed", flat=True)) == 0
    assert audit_books() == []


def test_what_was_refunded_by_hand_is_not_given_back_again():
    organization = make_metered(credit="5")
    [paid] = use(organization, "15")
    entry = LedgerEntry.objects.get(account=organization.pk, kind="charge")
    refund_charge(organization_id=organization.pk, entry_id=entry.pk, reason="goodwill", actor="t", at=NOON)
    take_back(organization, paid)
    assert (balance(organization), counter(organization)) == (5, (0, 0, 0, 0))
    assert audit_books() == []


@time_machine.travel(NOON, tick=False)
def test_the_answer_says_all_that_credit_paid():
    organization = make_metered(VOLUME, credit="300")
    reporter = Reporter(organization)
    sent = [
        {"name": "unit", "external_id": f"e{number}", "cost": "1", "metadata": {"n": number}} for number in (100, 1, 0)
    ]
    first, second = (reporter.track(one) for one in sent[:2])
    assert (first[0], first[1]["cost"], first[1]["markup"]) == (201, "1", "0.1")
    assert (first[1]["charge"], first[1]["available"]) == ("101.1", "198.9")
    assert (second[1]["charge"], second[1]["available"]) == ("-48.4", "247.3")  # 1.1, and 49.5 of the first given back
    again = reporter.track(sent[0])
    assert (again[0], again[1]["charge"]) == (200, "101.1")
    status, answer = reporter.track_batch(sent)
    assert [one["charge"] for one in answer["results"]] == ["101.1", "-48.4", "1.1"]
    assert (status, answer["charge"], answer["available"]) == (200, "1.1", "246.2")
    assert balance(organization) == Decimal("246.2")


@time_machine.travel(NOON, tick=False)
def test_what_is_charged_for_never_counts_backwards():
    organization = make_metered(credit="20")
    status, answer = Reporter(organization).track_batch([{"name": "unit", "metadata": {"n": n}} for n in (15, -5, 1)])
    assert (status, [one["status"] for one in answer["results"]]) == (207, ["recorded", "refused", "recorded"])
    assert answer["results"][1]["error"]["code"] == "negative_usage"
    with pytest.raises(NegativeUsage):
        use(organization, "1", "-0.5")
    assert (balance(organization), counter(organization)) == (14, (16, 6, 6, 0))

"""Calls that end without a bill are settled from the provider's books, exactly once."""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.utils import timezone

from core.money import quantize
from openrouter.gateway.access import access
from openrouter.gateway.books import settle_batch
from openrouter.gateway.processes import is_gone, this_process
from openrouter.models import AccountStatus, Attempt, KeyReading, ProviderAccount
from openrouter.recovery import recover_calls, settling
from openrouter.recovery.totals import share_out, take_first_readings
from openrouter.services import advance_account
from outbox.models import DomainEvent
from tests.openrouter.gateway.conftest import MARKUP, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
LATER = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _prompt_provider(settings):
    settings.GATEWAY_PROVIDER_LAG_SECONDS = 0


def recover(later=LATER):
    return recover_calls(at=timezone.now() + later, at_once=True)


def settled_exactly(buyer, credit=10):
    [hold] = buyer.holds
    assert hold.status == "settled"
    assert buyer.account.held == 0
    assert buyer.account.balance == credit - buyer.billed * (1 + MARKUP)
    assert buyer.event.charge == buyer.billed * (1 + MARKUP)


@pytest.mark.parametrize("fault", ["408-billed", "524-billed"])
def test_a_timeout_that_was_billed_is_charged_from_the_providers_record(customer, fault):
    buyer = customer()
    answer = buyer.chat(f"sandbox/fault-{fault}")
    assert answer.status == int(fault[:3])
    assert answer.headers["x-should-retry"] == "false"
    assert len(buyer.generations) == 1
    wait_for(lambda: buyer.holds[0].status == "settled", 15)
    settled_exactly(buyer)
    assert buyer.event.metadata["resolved_by"] == "generation"


def test_an_answer_lost_without_a_trace_is_found_by_the_keys_total(customer):
    buyer = customer()
    answer = buyer.chat("sandbox/fault-reset-after")
    assert answer.status == 502
    assert buyer.holds[0].status == "open"
    assert buyer.account.held > 0
    recover(timedelta(seconds=60))
    assert buyer.holds[0].status == "open", "its record may still appear"
    recover()
    settled_exactly(buyer)
    assert (buyer.event.cost_source, buyer.event.metadata["resolved_by"]) == ("estimated", "provider total")
    assert buyer.billed > 0


def test_an_unanswered_call_that_was_not_billed_is_released(customer):
    buyer = customer()
    assert buyer.chat("sandbox/fault-reset").status == 502
    recover()
    settled_exactly(buyer)
    assert buyer.billed == 0
    assert buyer.event.status == "error"


def test_several_lost_calls_of_one_key_share_the_difference_exactly(customer):
    buyer = customer()
    buyer.chat("openai/gpt-4o-mini", "one that is settled")
    for fault in ("reset-after", "reset", "reset-after"):
        buyer.chat(f"sandbox/fault-{fault}", max_tokens=300)
    recover()
    assert buyer.account.held == 0
    assert {hold.status for hold in buyer.holds} == {"settled"}
    assert sum(event.provider_cost for event in buyer.events) == buyer.billed
    assert buyer.account.balance == 10 - sum(event.charge for event in buyer.events)


def test_calls_lost_one_after_the_other_are_resolved_together_as_soon_as_the_last_one_may_be(customer):
    """Each alone would keep the key from being quiet when the other is looked at."""
    buyer = customer()
    for _ in range(3):
        buyer.chat("sandbox/fault-reset-after")
    lost = buyer.holds
    began = datetime.fromisoformat(lost[0].context["ended_at"])
    for place, hold in enumerate(lost):
        hold.context["ended_at"] = (began + place * timedelta(seconds=13)).isoformat()
        hold.save(update_fields=["context"])
    last_one_ripe = 2 * 13 + 120
    for seconds in range(0, last_one_ripe, 5):
        recover_calls(at=began + timedelta(seconds=seconds))
        assert {hold.status for hold in buyer.holds} == {"open"}
    recover_calls(at=began + timedelta(seconds=last_one_ripe + 5))
    assert {hold.status for hold in buyer.holds} == {"settled"}
    assert buyer.account.balance == 10 - buyer.billed * (1 + MARKUP)


def test_a_key_with_a_running_call_tells_nothing_yet(customer):
    buyer = customer()
    buyer.chat("sandbox/fault-reset-after")
    running = buyer.open_stream("sandbox/slow-uncancellable")
    running.getresponse().read(10)
    recover()
    lost = buyer.holds[0]
    assert lost.status == "open"
    running.close()
    wait_for(lambda: buyer.holds[1].status == "settled", 15)
    recover()
    assert buyer.account.held == 0
    assert sum(event.provider_cost for event in buyer.events) == buyer.billed


def test_a_key_that_is_never_quiet_is_replaced_and_then_tells(customer, sandbox):
    buyer = customer()
    buyer.chat("sandbox/fault-reset-after")
    running = buyer.open_stream("sandbox/slow-cancellable", "[[tokens=900 delay=0.05]]")
    running.getresponse().read(10)
    account = ProviderAccount.objects.get(organization=buyer.organization)
    recover(timedelta(minutes=10))
    account.refresh_from_db()
    assert account.owed == "none", "it may still become quiet by itself"
    recover(timedelta(minutes=16))
    recover(timedelta(minutes=17))
    account.refresh_from_db()
    assert account.owed == "create"
    assert advance_account(account_id=account.pk, at=timezone.now())
    access.clear()
    account.refresh_from_db()
    assert account.hash != buyer.key_hash
    running.close()
    wait_for(lambda: buyer.holds[1].status == "settled", 15)
    another = buyer.open_stream("sandbox/slow-cancellable", "[[tokens=900 delay=0.05]]")
    another.getresponse().read(10)
    recover()
    lost, first, second = buyer.holds
    assert (lost.status, first.status, second.status) == ("settled", "settled", "open")
    another.close()
    wait_for(lambda: buyer.account.held == 0, 15)
    assert sum(event.provider_cost for event in buyer.events[:2]) == buyer.billed
    assert (
        DomainEvent.objects.filter(
            organization_id=buyer.organization.pk, type="openrouter.account.rotation_requested", actor_label="recovery"
        ).count()
        == 1
    )


def test_without_a_management_key_records_and_the_shared_keys_total_are_read_with_that_key(customer, sandbox, settings):
    settings.OPENROUTER_MANAGEMENT_KEY = settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = ""
    buyer = customer()
    ProviderAccount.objects.filter(organization=buyer.organization).update(status=AccountStatus.PENDING)
    access.clear()
    buyer.key_string = sandbox.settings.api_key
    before = buyer.billed
    KeyReading.objects.filter(pk=buyer.key_hash).delete()
    assert take_first_readings(at=timezone.now()) == 1
    buyer.chat("sandbox/fault-reset-after")
    assert [hold.context["key_kind"] for hold in buyer.holds] == ["shared"]
    recover()
    assert buyer.event.provider_cost == buyer.billed - before > 0
    assert (buyer.account.held, buyer.event.metadata["resolved_by"]) == (0, "provider total")


def test_recovering_twice_charges_once(customer):
    buyer = customer()
    buyer.chat("sandbox/fault-reset-after")
    recover()
    before = buyer.account.balance
    assert recover().settled == 0
    assert buyer.account.balance == before
    assert len(buyer.charges) == 1


def test_what_a_key_had_used_before_is_nobodys_call(customer):
    buyer = customer()
    KeyReading.objects.create(key_hash=buyer.key_hash, usage=Decimal("0"), booked=Decimal("0"), taken_at=timezone.now())
    foreign = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "not through the gateway"}]}
    buyer.sandbox.call("POST", "/api/v1/chat/completions", foreign, key=buyer.key_string)
    KeyReading.objects.filter(pk=buyer.key_hash).update(usage=buyer.billed)
    buyer.chat("sandbox/fault-reset")
    recover()
    assert buyer.account.balance == 10
    assert buyer.account.held == 0


def test_a_failed_request_that_was_billed_is_our_cost_and_no_lost_calls(customer):
    buyer = customer()
    buyer.chat("openai/gpt-4o-mini")
    failed = Attempt.objects.filter(organization_id=buyer.organization.pk)
    failed.update(answered=False, status_code=502, cost=None)  # and the answer came from another request
    buyer.chat("sandbox/fault-reset")
    recover()
    lost = buyer.events[-1]
    assert (lost.status, lost.provider_cost, buyer.account.held) == ("error", 0, 0)
    assert failed.get(status_code=502).cost == buyer.billed > 0


def test_a_difference_above_what_was_held_is_never_charged_whole(customer):
    buyer = customer()
    foreign = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "x [[tokens=16000]]"}]}
    buyer.sandbox.call("POST", "/api/v1/chat/completions", foreign, key=buyer.key_string)
    buyer.chat("sandbox/fault-reset", max_tokens=64)
    held = buyer.holds[0].amount
    recover()
    assert buyer.account.held == 0
    assert 0 < 10 - buyer.account.balance <= held


def test_a_settlement_that_the_books_refuse_for_good_is_recovered_from_the_providers_record(
    customer, served, monkeypatch
):
    def refused(settlement):
        future = served.loop.create_future()
        future.set_exception(ValueError("a fault of ours"))
        return future

    buyer = customer()
    with monkeypatch.context() as broken_for_a_while:
        broken_for_a_while.setattr(served.app.gateway.settlements, "submit", refused)
        assert buyer.chat().status == 200
    wait_for(lambda: "ended_at" in buyer.holds[0].context, 5)
    recover(timedelta(seconds=60))
    settled_exactly(buyer)
    assert (buyer.event.cost_source, buyer.event.status) == ("provider", "ok")


def test_a_call_that_the_books_refuse_keeps_no_other_from_being_settled(customer, monkeypatch):
    unlucky, buyer = customer(), customer()
    for each in (unlucky, buyer):
        each.chat("sandbox/fault-reset-after")
    with monkeypatch.context() as refusing:
        refusing.setattr(settling, "settle_batch", partial(settled_but_of, unlucky.organization.pk))
        recover()
    assert unlucky.holds[0].status == "open"
    settled_exactly(buyer)
    recover()
    settled_exactly(unlucky)


def settled_but_of(organization_id, settlements):
    if any(settlement.record.organization_id == organization_id for settlement in settlements):
        raise ValueError("a fault of ours")
    return settle_batch(settlements)


def test_shares_are_exact_and_within_their_bounds():
    bounds = [Decimal("0.3"), Decimal("0.1"), Decimal("0.2")]
    amount = Decimal("0.100000000001")
    shares = share_out(amount, bounds)
    assert sum(shares) == amount
    assert all(share <= bound for share, bound in zip(shares, bounds, strict=True))
    assert share_out(Decimal("5"), bounds) == bounds
    assert share_out(Decimal(0), bounds) == [0, 0, 0]


def test_charges_of_shares_add_up_to_the_charge_of_the_whole():
    """Two thirds and a third of 0.0000123 USD, and 10 % on each: nothing is lost between them."""
    shares = share_out(Decimal("0.0000123"), [Decimal("0.02"), Decimal("0.01")])
    assert shares == [Decimal("0.0000082"), Decimal("0.0000041")]
    shares = share_out(Decimal("0.0000370"), [Decimal("0.01")] * 3)
    assert shares == [Decimal("0.00001234"), Decimal("0.00001233"), Decimal("0.00001233")]
    assert sum(quantize(share * (1 + MARKUP)) for share in shares) == Decimal("0.0000407")


def test_this_process_is_not_gone_and_a_past_one_is():
    place = this_process().partition(".")[0]
    assert is_gone(this_process()) is False
    assert is_gone(f"{place}.4194303.1") is True
    assert is_gone("elsewhere-1.17.5") is None

"""The same request sent twice moves money once and is answered the same, whatever happens in between."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import idempotency
from accounts.errors import StillRunning
from accounts.idempotency import (
    Answer,
    claim_key,
    fingerprint_of,
    forget_old_answers,
    give_up_claim,
    idempotency_key,
    store_answer,
)
from accounts.models import IdempotencyRecord
from core.errors import InvalidRequest, KeyReused
from credits.balances import current_balance
from credits.models import LedgerEntry
from credits.services import grant_credits
from tests.api.caller import Caller
from tests.builders import NOON, make_customer
from tests.concurrency.parallel import run_parallel

pytestmark = pytest.mark.django_db(transaction=True)

ONE = {"amount": "1", "reason": "x"}


@pytest.fixture
def customer():
    customer = make_customer()
    for each in (customer, customer.test_twin):
        grant_credits(organization_id=each.id, amount=Decimal(10), kind="bonus", reason="r", actor="t", at=NOON)
    return customer


@pytest.fixture
def caller(customer):
    return Caller(customer)


def deduct(caller, key="k", body=ONE):
    return caller.send("POST", "credits/deduct", body, idempotency_key=key)


def balance(organization):
    return current_balance(organization.id, timezone.now()).balance


def claim(organization, at=NOON, fingerprint="f"):
    return claim_key(organization_id=organization.id, key="k", route="/r", fingerprint=fingerprint, at=at)


def test_the_replay_is_the_first_answer_byte_for_byte_and_says_so(caller, customer):
    first, again = deduct(caller), deduct(caller)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again["Content-Type"] == first["Content-Type"]
    assert "Idempotent-Replayed" not in first and again["Idempotent-Replayed"] == "true"
    assert balance(customer) == 9


def test_another_body_is_refused_and_moves_nothing(caller, customer):
    deduct(caller)
    again = deduct(caller, body={"amount": "2", "reason": "x"})
    assert (again.status_code, again.json()["code"]) == (422, "idempotency_key_reused")
    assert balance(customer) == 9


def test_another_route_counts_as_another_request(caller, customer):
    deduct(caller)
    again = caller.send("POST", "credits/allocate", ONE, idempotency_key="k")
    assert again.status_code == 422
    assert balance(customer) == 9


def test_live_and_test_keys_may_use_the_same_idempotency_key(caller, customer):
    assert deduct(caller).status_code == 201
    assert deduct(Caller(customer.test_twin)).status_code == 201
    assert (balance(customer), balance(customer.test_twin)) == (9, 9)


def test_a_last_slash_does_not_make_another_request(caller, customer):
    first = deduct(caller)
    again = caller.send("POST", "credits/deduct/", ONE, idempotency_key="k")
    assert again.content == first.content
    assert balance(customer) == 9


def test_a_refusal_is_replayed_too(caller, customer):
    body = {"amount": "99", "reason": "x"}
    assert deduct(caller, body=body).status_code == 402
    grant_credits(organization_id=customer.id, amount=Decimal(99), kind="bonus", reason="r", actor="t", at=NOON)
    again = deduct(caller, body=body)
    assert (again.status_code, again["Idempotent-Replayed"]) == (402, "true")
    assert balance(customer) == 109


def test_a_fault_is_not_an_answer_and_the_retry_is_carried_out(caller, customer, monkeypatch):
    from credits import services

    caller.client.raise_request_exception = False
    with monkeypatch.context() as broken:
        broken.setattr(services, "deduct_credits", lambda **_: 1 / 0)
        assert deduct(caller).status_code == 500
    assert not IdempotencyRecord.objects.exists()
    assert deduct(caller).status_code == 201
    assert balance(customer) == 9


def test_a_fault_after_the_money_moved_takes_it_back(caller, customer, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(idempotency, "_answer_of", lambda response: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            deduct(caller)
    assert balance(customer) == 10


def test_without_the_header_every_request_counts(caller, customer):
    for _ in range(2):
        assert caller.send("POST", "credits/deduct", ONE).status_code == 201
    assert balance(customer) == 8


def test_while_the_first_is_running_the_second_is_told_to_come_back(caller, customer):
    fingerprint = fingerprint_of("POST", "/api/v1/credits/deduct", b'{"amount": "1", "reason": "x"}')
    running = claim(customer, at=timezone.now(), fingerprint=fingerprint)
    response = deduct(caller)
    assert (response.status_code, response.json()["code"]) == (409, "idempotency_key_in_use")
    assert response["Retry-After"] == "1"
    assert balance(customer) == 10
    give_up_claim(running)
    assert deduct(caller).status_code == 201


def test_a_crashed_first_request_blocks_its_key_only_for_a_while(customer):
    claim(customer)
    with pytest.raises(StillRunning):
        claim(customer, at=NOON + idempotency.CLAIM_LASTS - timedelta(seconds=1))
    taken = claim(customer, at=NOON + idempotency.CLAIM_LASTS)
    assert taken.answer is None


def test_whoever_lost_the_claim_meanwhile_stores_nothing_and_moves_nothing(customer):
    first = claim(customer)
    second = claim(customer, at=NOON + idempotency.CLAIM_LASTS)
    with pytest.raises(StillRunning), transaction.atomic():
        grant_credits(organization_id=customer.id, amount=Decimal(5), kind="bonus", reason="r", actor="t", at=NOON)
        store_answer(first, Answer(200, b"first", "text/plain"))
    assert balance(customer) == 10
    store_answer(second, Answer(200, b"second", "text/plain"))
    assert claim(customer).answer.body == b"second"


def test_a_claim_that_is_renewed_is_not_taken_over_and_one_that_was_cannot_be_renewed(customer):
    claimed = claim(customer)
    half = NOON + idempotency.CLAIM_LASTS / 2
    renewed = idempotency.renew_claim(claimed, at=half)
    with pytest.raises(StillRunning):
        claim(customer, at=NOON + idempotency.CLAIM_LASTS)
    claim(customer, at=half + idempotency.CLAIM_LASTS)
    with pytest.raises(StillRunning):
        idempotency.renew_claim(renewed, at=half + 2 * idempotency.CLAIM_LASTS)


def test_a_key_is_refused_for_another_request_even_while_the_first_runs(customer):
    claim(customer)
    with pytest.raises(KeyReused):
        claim(customer, fingerprint="other")


def test_parallel_requests_with_one_key_move_money_once(customer):
    callers = [Caller(customer) for _ in range(8)]
    results = run_parallel([lambda caller=caller: deduct(caller) for caller in callers])
    statuses = sorted(response.status_code for response in results)
    assert set(statuses) <= {201, 409} and 201 in statuses
    assert balance(customer) == 9
    assert LedgerEntry.objects.filter(account_id=customer.id, kind="deduction").count() == 1


def test_without_the_claim_parallel_requests_move_money_several_times(customer, monkeypatch):
    monkeypatch.setattr(idempotency, "claim_key", lambda **values: idempotency.Claim(0, NOON))
    monkeypatch.setattr(idempotency, "store_answer", lambda *_: None)
    callers = [Caller(customer) for _ in range(4)]
    run_parallel([lambda caller=caller: deduct(caller) for caller in callers])
    assert balance(customer) == 6


def test_of_those_who_find_a_dead_claim_one_takes_it_over(customer):
    claim(customer)
    late = NOON + idempotency.CLAIM_LASTS
    results = run_parallel([lambda n=n: claim(customer, at=late + timedelta(microseconds=n)) for n in range(8)])
    assert sum(isinstance(result, StillRunning) for result in results) == 7


def test_answers_are_forgotten_after_thirty_days(customer):
    store_answer(claim(customer), Answer(200, b"", "text/plain"))
    assert forget_old_answers(at=NOON + timedelta(days=30)) == 0
    assert forget_old_answers(at=NOON + timedelta(days=30, seconds=1)) == 1


@pytest.mark.parametrize(
    ("header", "key"), [("abc", "abc"), ('"abc"', "abc"), ('"', '"'), ("a b", "a b"), (None, None)]
)
def test_the_header_is_read_plain_or_quoted(header, key):
    assert idempotency_key(header) == key


@pytest.mark.parametrize("header", ["", '""', "x" * 256, "é", "a\x00b", "a\nb"])
def test_a_header_that_is_no_key_is_refused(header):
    with pytest.raises(InvalidRequest):
        idempotency_key(header)


def test_the_stored_answer_is_the_claims_own(customer):
    done = claim(customer)
    store_answer(done, Answer(201, b"{}", "application/json", {"Location": "/x"}))
    replay = claim(customer).answer.as_response()
    assert (replay.status_code, replay.content, replay["Location"]) == (201, b"{}", "/x")

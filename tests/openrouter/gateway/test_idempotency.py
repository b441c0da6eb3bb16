"""The same ``Idempotency-Key``: one call, one charge, one answer."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.openrouter.gateway.conftest import MARKUP

pytestmark = pytest.mark.django_db(transaction=True)
KEY = {"idempotency-key": "order-17"}


def test_a_repeated_request_gets_the_stored_answer_without_a_second_call(customer):
    buyer = customer()
    first = buyer.chat(headers=KEY)
    again = buyer.chat(headers=KEY)
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    for name in ("x-farebox-event-id", "x-farebox-charge", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert len(buyer.generations) == 1
    assert buyer.account.balance == 10 - buyer.billed * (1 + MARKUP)


def test_another_body_under_the_same_key_is_refused(customer):
    buyer = customer()
    buyer.chat(headers=KEY)
    other = buyer.chat(text="something else", headers=KEY)
    assert (other.status, other.error["type"]) == (422, "idempotency_key_reused")
    assert len(buyer.generations) == 1


def test_a_repeated_stream_is_played_again(customer):
    buyer = customer()
    first = buyer.chat(stream=True, headers=KEY)
    again = buyer.chat(stream=True, headers=KEY)
    assert again.body == first.body
    assert again.headers["content-type"].startswith("text/event-stream")
    assert len(buyer.generations) == 1


def test_of_parallel_requests_one_calls_and_the_others_are_told_to_wait(customer):
    buyer = customer()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: buyer.chat(text="[[first=0.5]]", headers=KEY), range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert len(buyer.generations) == 1
    refused = next(answer for answer in answers if answer.status == 409)
    assert refused.error["type"] == "idempotency_key_in_use"
    assert int(refused.headers["retry-after"]) >= 1


def test_a_refusal_is_not_kept(customer):
    buyer = customer(credit="0")
    assert buyer.chat(headers=KEY).status == 402
    assert buyer.chat(headers=KEY).status == 402
    assert "idempotent-replayed" not in buyer.chat(headers=KEY).headers


def test_a_failure_that_cost_nothing_may_be_tried_again_with_the_same_key(customer, settings):
    settings.GATEWAY_ATTEMPTS = 1
    buyer = customer()
    assert buyer.chat("sandbox/flaky-503-1", headers=KEY).status == 503
    assert buyer.chat("sandbox/flaky-503-1", headers=KEY).status == 200
    assert len(buyer.generations) == 1


def test_a_failure_that_may_have_been_billed_is_not_tried_again(customer):
    buyer = customer()
    first = buyer.chat("sandbox/fault-408-billed", headers=KEY)
    again = buyer.chat("sandbox/fault-408-billed", headers=KEY)
    assert (first.status, again.status) == (408, 408)
    assert again.headers["idempotent-replayed"] == "true"
    assert len(buyer.generations) == 1


def test_keys_of_different_organizations_do_not_meet(customer):
    one, other = customer(), customer()
    assert one.chat(headers=KEY).status == other.chat(headers=KEY).status == 200
    assert len(one.generations) == len(other.generations) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "two\twords"])
def test_a_malformed_key_is_refused_or_ignored_when_empty(customer, key):
    buyer = customer()
    answer = buyer.chat(headers={"idempotency-key": key})
    assert answer.status == (200 if not key else 400)


def test_a_call_whose_answer_was_lost_is_not_made_again(customer, monkeypatch):
    """Something of ours breaks between the provider's answer and the client's."""

    def broken(*arguments, **options):
        raise ValueError("a fault of ours")

    buyer = customer()
    with monkeypatch.context() as broken_for_a_while:
        broken_for_a_while.setattr("openrouter.gateway.calls.charge_headers", broken)
        assert buyer.chat(headers=KEY).status == 500
    again = buyer.chat(headers=KEY)
    assert (again.status, again.error["type"]) == (409, "answer_not_kept")
    assert len(buyer.generations) == 1

"""What a streaming client sees, and what it pays when it leaves."""

import json
import time
from decimal import Decimal

import psycopg
import pytest
from django.db import connection

from openrouter.gateway import app
from outbox.models import DomainEvent
from tests.openrouter.gateway.conftest import MARKUP, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_byte_of_the_provider_arrives_in_order(customer, sandbox):
    buyer = customer()
    ours = buyer.chat("sandbox/chat", "[[tokens=50]]", stream=True).body
    texts = [event["choices"][0]["delta"]["content"] for event in _events(ours)]
    said = "".join(text or "" for text in texts)
    whole = buyer.chat("sandbox/chat", "[[tokens=50]]").json["choices"][0]["message"]["content"]
    assert said == whole
    assert ours.startswith(b": OPENROUTER PROCESSING\n\n")
    assert ours.endswith(b"data: [DONE]\n\n")


def _events(body):
    lines = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]


def test_the_first_bytes_do_not_wait_for_the_last(customer, settings):
    settings.GATEWAY_DRAIN_SECONDS = 0.1
    buyer = customer()
    running = buyer.open_stream("sandbox/slow-cancellable", "[[tokens=40 delay=600]]")  # longer than anybody reads
    response = running.getresponse()
    assert response.headers["x-farebox-event-id"]
    assert response.readline()
    running.close()
    buyer.wait_until_settled()


def test_leaving_a_provider_that_can_stop_costs_only_what_was_made(customer):
    buyer = customer()
    _leave_after(buyer, "sandbox/slow-cancellable", events=5)
    buyer.wait_until_settled()
    [made] = buyer.generations
    assert made["cancelled"]
    assert made["completion"] < 60
    assert buyer.account.balance == 10 - Decimal(made["cost"]) * (1 + MARKUP)
    assert (buyer.event.status, buyer.event.metadata["resolved_by"]) == ("cancelled", "generation")


def test_leaving_any_other_provider_costs_the_whole_answer_measured_to_its_end(customer):
    buyer = customer()
    _leave_after(buyer, "sandbox/slow-uncancellable", events=5)
    buyer.wait_until_settled()
    [made] = buyer.generations
    assert (made["completion"], made["cancelled"]) == (60, False)
    assert buyer.account.balance == 10 - Decimal(made["cost"]) * (1 + MARKUP)
    assert "resolved_by" not in buyer.event.metadata
    assert buyer.event.metadata["client_left"] is True


def _leave_after(buyer, model, events):
    running = buyer.open_stream(model)
    response = running.getresponse()
    seen = 0
    while seen < events:
        seen += response.readline().startswith(b"data:")
    running.close()


def test_leaving_during_a_json_call_changes_nothing_about_its_price(customer, monkeypatch):
    monkeypatch.setattr(app, "_LONG", 60)  # the call is sent, however busy this machine is
    buyer = customer()
    running = buyer.open_stream("sandbox/chat", "[[tokens=30 first=0.5]]", stream=False)
    time.sleep(0.1)
    running.close()
    wait_for(lambda: len(buyer.generations) == 1)
    buyer.wait_until_settled()
    assert buyer.event.completion_tokens == 30
    assert buyer.account.balance == 10 - buyer.billed * (1 + MARKUP)


def test_a_client_that_left_while_the_books_were_busy_is_not_called_for(customer, monkeypatch):
    monkeypatch.setattr(app, "_LONG", 0.05)
    buyer = customer()
    busy = psycopg.connect(**connection.get_connection_params())
    busy.execute("SELECT FROM credits_creditaccount WHERE id = %s FOR UPDATE", [buyer.organization.pk])
    leavers = [buyer.open_stream(text="I leave", stream=streamed) for streamed in (True, False)]
    stays = buyer.open_stream(text="I stay", stream=False)
    time.sleep(0.3)
    for each in leavers:
        each.close()
    time.sleep(0.1)
    busy.close()
    assert stays.getresponse().status == 200
    buyer.wait_until_settled()
    assert len(buyer.holds) == 3
    assert len(buyer.generations) == len(buyer.charges) == 1
    assert sorted((event.status, event.charge == 0) for event in buyer.events) == [
        ("cancelled", True),
        ("cancelled", True),
        ("ok", False),
    ]


def test_the_providers_handle_is_durable_while_the_stream_runs(customer, settings):
    settings.GATEWAY_DRAIN_SECONDS = 0.1  # nothing has named a provider that can be stopped
    buyer = customer()
    running = buyer.open_stream("sandbox/slow-cancellable", "[[delay=600]]")
    response = running.getresponse()
    response.readline()
    wait_for(lambda: "generation" in buyer.holds[0].context)
    assert buyer.holds[0].status == "open"
    assert buyer.holds[0].context["generation"] == response.headers["x-generation-id"]
    running.close()
    buyer.wait_until_settled()


def test_a_slow_json_call_has_its_handle_written_down(customer):
    buyer = customer()
    running = buyer.open_stream("sandbox/chat", "[[tokens=30 first=1]]", stream=False)
    wait_for(lambda: buyer.holds and "generation" in buyer.holds[0].context)
    running.getresponse().read()
    running.close()
    buyer.wait_until_settled()


def test_an_error_in_the_stream_shows_no_raw_text_of_the_provider(customer):
    buyer = customer()
    answer = buyer.chat("sandbox/fault-sse-error", stream=True)
    [error] = [event["error"] for event in answer.events if "error" in event]
    assert error["message"] == "Provider disconnected unexpectedly"
    assert "raw" not in error["metadata"]
    assert answer.events[-1] != "[DONE]"
    buyer.wait_until_settled()
    assert buyer.event.status == "partial"


def test_tags_reach_the_usage_event(customer):
    buyer = customer()
    buyer.chat(headers={"x-farebox-tags": "prompt_id=welcome, feature=search"}, metadata={"environment": "ci", "n": 1})
    assert buyer.event.tags == {"prompt_id": "welcome", "feature": "search", "environment": "ci"}
    assert buyer.chat(headers={"x-farebox-tags": "nonsense"}).status == 400


def test_retries_are_bounded_and_every_one_is_on_record(customer):
    buyer = customer()
    assert buyer.chat("sandbox/flaky-503-2").status == 200
    tries = [(attempt.number, attempt.status_code, attempt.answered) for attempt in buyer.attempts]
    assert tries == [(1, 503, False), (2, 503, False), (3, 200, True)]
    assert [attempt.cost for attempt in buyer.attempts] == [None, None, buyer.billed]
    assert len(buyer.events) == 1
    gives_up = customer()
    assert gives_up.chat("sandbox/flaky-503-3").status == 503
    assert len(gives_up.attempts) == 3


@pytest.mark.parametrize(("fault", "tries"), [("400", 1), ("401", 1), ("403-moderation", 1), ("408", 1), ("500", 2)])
def test_what_another_try_cannot_mend_is_not_tried_again(customer, fault, tries):
    buyer = customer()
    buyer.chat(f"sandbox/fault-{fault}")
    if fault == "408":
        wait_for(lambda: len(buyer.holds[0].context.get("attempts", [])) == tries)
    else:
        assert len(buyer.attempts) == tries


def test_after_a_rate_limit_the_next_try_waits_as_told(customer):
    buyer = customer()
    buyer.sandbox.set_fault("429-retry-after", model="sandbox/chat")
    started = time.monotonic()
    assert buyer.chat().status == 200
    assert 1 <= time.monotonic() - started < 30


def test_a_problem_with_our_provider_account_is_told_to_the_operator_not_the_customer(customer):
    buyer = customer()
    answer = buyer.chat("sandbox/fault-402-key-limit")
    assert (answer.status, answer.error["type"]) == (503, "provider_account_unavailable")
    assert "limit" not in answer.error["message"]
    told = DomainEvent.objects.filter(organization=buyer.organization, type="gateway.provider_account_problem")
    wait_for(told.exists)
    assert told.get().data["reason"] == "402 openrouter_key_limit"


def test_the_model_that_served_is_priced_and_named(customer):
    buyer = customer()
    answer = buyer.chat("sandbox/fault-404", models=["openai/gpt-4o"], max_tokens=50)
    assert answer.status == 200
    assert answer.json["model"] == "openai/gpt-4o"
    event = buyer.event
    assert (event.model, event.metadata["requested"]) == ("openai/gpt-4o", "sandbox/fault-404")
    assert event.charge == buyer.billed * (1 + MARKUP)
    assert buyer.holds[0].amount > event.charge
    assert buyer.attempts[-1].model == "openai/gpt-4o"

"""What cannot be an event is refused by field, and what looks odd and is sound is kept to the last digit."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from credits.models import LedgerEntry
from metering.models import UsageEvent
from tests.metering.reporting import Reporter, make_model, make_reporter
from tests.metering.tracking import CHAT, only_event, refused

pytestmark = pytest.mark.django_db


TOO_DEEP = {"a": 1}
for _ in range(8):
    TOO_DEEP = {"a": TOO_DEEP}


@pytest.mark.parametrize(
    ("event", "field", "code"),
    [
        ({"prompt_tokens": -1}, "prompt_tokens", "out_of_range"),
        ({"prompt_tokens": 2**63}, "prompt_tokens", "out_of_range"),
        ({"prompt_tokens": 10**12 + 1}, "prompt_tokens", "out_of_range"),
        ({"prompt_tokens": 1.5}, "prompt_tokens", "invalid_type"),
        ({"prompt_tokens": "5"}, "prompt_tokens", "invalid_type"),
        ({"prompt_tokens": True}, "prompt_tokens", "invalid_type"),
        ({"prompt_tokens": None}, "prompt_tokens", "invalid_type"),
        ({"prompt_tokens": 5, "cached_tokens": 6}, "cached_tokens", "inconsistent"),
        ({"prompt_tokens": 5, "cached_tokens": 3, "cache_write_tokens": 3}, "cached_tokens", "inconsistent"),
        ({"completion_tokens": 5, "reasoning_tokens": 6}, "reasoning_tokens", "inconsistent"),
        ({"cost": "-1"}, "cost", "out_of_range"),
        ({"cost": "NaN"}, "cost", "out_of_range"),
        ({"cost": "Infinity"}, "cost", "out_of_range"),
        ({"cost": "1e400"}, "cost", "out_of_range"),
        ({"cost": "1000000"}, "cost", "out_of_range"),
        ({"cost": "0.0000000000001"}, "cost", "too_precise"),
        ({"cost": "one"}, "cost", "invalid"),
        ({"cost": []}, "cost", "invalid_type"),
        ({"quantity": "0.0000001"}, "quantity", "too_precise"),
        ({"quantity": "-1"}, "quantity", "out_of_range"),
        ({"seconds": "NaN"}, "seconds", "out_of_range"),
        ({"kind": "custom", "name": ""}, "name", "required"),
        ({"kind": "music"}, "kind", "invalid_choice"),
        ({"name": "x" * 129}, "name", "out_of_range"),
        ({"external_id": ""}, "external_id", "out_of_range"),
        ({"external_id": "x" * 256}, "external_id", "out_of_range"),
        ({"external_id": "hold:1"}, "external_id", "reserved"),
        ({"status": "fine"}, "status", "invalid_choice"),
        ({"latency_ms": 2**31}, "latency_ms", "out_of_range"),
        ({"hold_id": "not a uuid"}, "hold_id", "invalid"),
        ({"occurred_at": "yesterday"}, "occurred_at", "invalid"),
        ({"occurred_at": "2026-01-01T00:00:00"}, "occurred_at", "invalid_type"),
        ({"occurred_at": "1999-12-31T00:00:00Z"}, "occurred_at", "out_of_range"),
        ({"occurred_at": "9999-12-31T23:59:59Z"}, "occurred_at", "out_of_range"),
        ({"tags": {"a": 1}}, "tags", "invalid_type"),
        ({"tags": {"x" * 41: "v"}}, "tags", "out_of_range"),
        ({"tags": {"k": "v" * 201}}, "tags", "out_of_range"),
        ({"tags": {str(n): "v" for n in range(21)}}, "tags", "out_of_range"),
        ({"metadata": TOO_DEEP}, "metadata", "unstorable"),
        ({"metadata": {"a": "x" * 16_400}}, "metadata", "too_large"),
        ({"metadata": []}, "metadata", "invalid_type"),
        ({"name": "a\x00b"}, "", "nul_character"),
        ({"metadata": {"a\x00": 1}}, "", "nul_character"),
        ({"tokens": 5}, "tokens", "unknown_field"),
    ],
)
def test_what_does_not_fit_is_refused_by_field(event, field, code):
    body = refused(Reporter(make_reporter()).track({"name": "x", **event}), 400, "invalid_request")
    [error] = body["errors"]
    assert (error["field"].partition("[")[0], error["code"]) == (field, code), error
    assert body["detail"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"name": "x", "cost": NaN}',
        b'{"name": "x", "cost": Infinity}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "x"} {}',
        b'{"metadata": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
    ],
)
def test_what_is_not_json_is_refused(text):
    reporter = Reporter(make_reporter())
    response = reporter.client.generic("POST", "/api/v1/metering/track", text, content_type="application/json")
    refused((response.status_code, response.json()), 400, "malformed_json")


def test_numbers_as_text_are_plain_decimals_and_the_odd_ones_record_nothing():
    odd = ["1_0", "１２", "\u0661", " 1", "1\n", "1,5", "0x1", "", ".", "--1", "1e99999999999999999999", "sNaN", [], {}]
    places = [(field, text) for field in ("cost", "quantity", "seconds") for text in odd]
    sent = [{"name": "x", field: text} for field, text in places]
    sent += [{"name": "good", "cost": "+1.5e1", "quantity": ".5", "seconds": "0e999999"}, {"name": "good", "cost": 2}]
    sent = json.dumps({"events": sent})[:-2] + ', {"name": "x", "metadata": {"a": 1e99999999999999999999}}]}'
    reporter = Reporter(make_reporter("100"))
    response = reporter.client.generic("POST", "/api/v1/metering/track/batch", sent, content_type="application/json")
    body = response.json()
    assert (response.status_code, body["recorded"], body["refused"]) == (207, 2, len(places) + 1)
    for (field, text), result in zip(places, body["results"], strict=False):
        [error] = result["error"]["errors"]
        code = "invalid_type" if isinstance(text, list | dict) else "invalid"
        assert (error["field"], error["code"]) == (field, code), (field, text)
    assert body["results"][-1]["error"]["code"] == "invalid_request"
    kept = UsageEvent.objects.order_by("provider_cost").values_list("name", "provider_cost", "quantity")
    assert list(kept) == [("good", 2, 0), ("good", 15, Decimal("0.5"))]
    assert LedgerEntry.objects.filter(kind="charge").count() == 2


@pytest.mark.parametrize("depth", [9, 100, *range(880, 1000, 7)])
def test_metadata_of_any_depth_is_refused_and_breaks_nothing(depth):
    client = Reporter(make_reporter()).client
    text = b'{"name": "x", "metadata": ' + b'{"a":' * depth + b"1" + b"}" * (depth + 1)
    for path, body in (("track", text), ("track/batch", b'{"events": [' + text + b"]}")):
        response = client.generic("POST", f"/api/v1/metering/{path}", body, content_type="application/json")
        assert response.status_code in (207, 400), response.content
    assert UsageEvent.objects.count() == 0


def test_something_that_looks_like_a_nul_is_kept():
    status, _ = Reporter(make_reporter()).track({"name": "\\u0000", "metadata": {"a": "\\\\u0000"}})
    assert (status, only_event().name, only_event().metadata) == (201, "\\u0000", {"a": "\\\\u0000"})


def test_numbers_in_metadata_keep_every_digit():
    reporter = Reporter(make_reporter())
    text = b'{"name":"x","metadata":{"a":0.1000000000000000055511,"b":123456789012345678901234567890,"c":-0.5}}'
    response = reporter.client.generic("POST", "/api/v1/metering/track", text, content_type="application/json")
    assert response.status_code == 201
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT metadata ->> 'a', metadata ->> 'b', jsonb_typeof(metadata -> 'c') FROM metering_usageevent"
        )
        assert cursor.fetchone() == ("0.1000000000000000055511", "123456789012345678901234567890", "number")


def test_an_event_that_costs_more_than_anything_real_is_refused():
    make_model(prompt="0.01")
    refused(Reporter(make_reporter()).track({**CHAT, "prompt_tokens": 10**12}), 422, "amount_too_large")


def test_a_minute_ahead_of_our_clock_is_allowed_and_no_more():
    reporter = Reporter(make_reporter())
    with time_machine.travel(timezone.now(), tick=False):
        ahead = {name: (timezone.now() + timedelta(seconds=name)).isoformat() for name in (60, 61)}
        assert reporter.track({"name": "x", "occurred_at": ahead[61]})[0] == 400
        assert reporter.track({"name": "x", "occurred_at": ahead[60]})[0] == 201


def test_another_media_type_is_refused():
    reporter = Reporter(make_reporter())
    response = reporter.client.generic("POST", "/api/v1/metering/track", b"{}", content_type="text/plain")
    refused((response.status_code, response.json()), 415, "unsupported_media_type")


def test_a_body_that_is_too_large_is_refused():
    reporter = Reporter(make_reporter())
    refused(reporter.track({"name": "x", "metadata": {"a": "x" * 70_000}}), 413, "payload_too_large")

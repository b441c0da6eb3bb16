"""Ingest: all or nothing, once, with every problem named at its place."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from billing.services import create_customer
from core.ids import uuid7
from metering.models import UsageEvent
from tests.billing_api.wire import places, refused
from tests.builders import make_customer

EVENT = {"name": "api-call", "external_customer_id": "user_42"}
COUNTS = {"aggregation": {"func": "count"}}
LLM = {"vendor": "v", "model": "m", "input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def ingest(wire, *events):
    return wire.post("events/ingest", {"events": list(events)})


def stored(merchant):
    return UsageEvent.objects.filter(organization=merchant)


def with_metadata(**metadata):
    return {**EVENT, "metadata": metadata}


def test_good_events_are_counted_and_repeated_ids_change_nothing(wire, merchant):
    first = ingest(wire, {**EVENT, "external_id": "a"}, {**EVENT, "name": "other", "external_id": "a"}, EVENT, EVENT)
    assert (first.status_code, first.json()) == (200, {"inserted": 3, "duplicates": 1})
    assert ingest(wire, {**EVENT, "external_id": "a", "name": "again"}).json() == {"inserted": 0, "duplicates": 1}
    assert ingest(wire).json() == {"inserted": 0, "duplicates": 0}
    assert stored(merchant).get(external_id="a").name == "api-call"


def test_an_unknown_customer_is_named_exactly(wire, merchant):
    stranger = create_customer(organization_id=make_customer().pk, email="x@example.com", actor="t", at=timezone.now())
    answer = ingest(wire, EVENT, {"name": "api-call", "customer_id": str(stranger.id)})
    expected = {
        "loc": ["body", "events", 1, "customer_id"],
        "msg": "Customer not found.",
        "type": "customer_id",
        "input": str(stranger.id),
    }
    assert refused(answer, 422, "RequestValidationError") == [expected]
    assert not stored(merchant).exists()


def test_every_problem_of_every_event_is_listed_and_nothing_is_stored(wire, merchant):
    bad = [
        EVENT,
        {"name": "", "external_customer_id": "u"},
        {"external_customer_id": "u"},
        {"name": "n"},
        {"name": "n", "customer_id": "a", "external_customer_id": "b"},
        with_metadata(x=None, y=[1], z={"deep": {"deeper": 1}}, good=1),
        {**EVENT, "timestamp": (timezone.now() + timedelta(minutes=10)).isoformat()},
        {**EVENT, "timestamp": "2026-03-01T10:00:00"},
        {**EVENT, "metadata": "text"},
        7,
    ]
    body = ["body", "events"]
    assert places(ingest(wire, *bad)) == [
        [*body, 1, "name"],
        [*body, 2, "name"],
        [*body, 3],
        [*body, 4],
        [*body, 5, "metadata", "x"],
        [*body, 5, "metadata", "y"],
        [*body, 5, "metadata", "z"],
        [*body, 6, "timestamp"],
        [*body, 7, "timestamp"],
        [*body, 8, "metadata"],
        [*body, 9],
    ]
    assert not stored(merchant).exists()


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"events": [{"name": "n", "external_customer_id": "u", "metadata": {"x": NaN}}]}', ["body"]),
        (b'{"events": [{"name": "n", "external_customer_id": "u", "metadata": {"x": -Infinity}}]}', ["body"]),
        (
            b'{"events": [{"name": "n", "external_customer_id": "u", "metadata": {"x": ' + b"[" * 50_000 + b"]}}]}",
            ["body"],
        ),
        (b'{"events": [{"name": "\xff\xfe", "external_customer_id": "u"}]}', ["body"]),
        (b'{"events": [{"name": "\\u0000", "external_customer_id": "u"}]}', ["body"]),
        (b'{"events": {}}', ["body", "events"]),
        (b"{}", ["body", "events"]),
        (b"", ["body", "events"]),
        (b"[]", ["body"]),
    ],
)
def test_bodies_that_are_no_json_of_ours_are_refused(wire, merchant, body, place):
    found = places(wire.post("events/ingest", body))
    assert found in ([place], [["body"]])
    assert not stored(merchant).exists()


@pytest.mark.parametrize(
    "metadata",
    [
        {"x": 2**63},
        {"x": -(2**63) - 1},
        {"x": "a" * 501},
        {"k" * 41: 1},
        {"": 1},
        {f"k{number}": 1 for number in range(51)},
        {"_cost": {"amount": "abc", "currency": "usd"}},
        {"_cost": {"amount": 1, "currency": "eur"}},
        {"_cost": {"amount": "0.0000000000001", "currency": "usd"}},
        {"_cost": {"amount": 10**17, "currency": "usd"}},
        {"_cost": {"amount": True, "currency": "usd"}},
        *({"_cost": {"amount": odd, "currency": "usd"}} for odd in ("1_000", "\u0661", " 1", "1 ", "NaN")),
        {"_cost": {"currency": "usd"}},
        {"_llm": {**LLM, "input_tokens": "1"}},
        {"_llm": {**LLM, "total_tokens": -1}},
        {"_llm": {**LLM, "unknown": 1}},
        {"_llm": {"vendor": "v"}},
        {"_llm": []},
    ],
)
def test_metadata_beyond_the_limits_is_refused(wire, merchant, metadata):
    [place] = places(ingest(wire, {**EVENT, "metadata": metadata}))
    assert place[:4] == ["body", "events", 0, "metadata"]
    assert not stored(merchant).exists()


def test_numbers_that_no_client_can_read_are_refused(wire, merchant):
    body = b'{"events": [{"name": "n", "external_customer_id": "u", "metadata": {"x": 1e400}}]}'
    assert places(wire.post("events/ingest", body)) == [["body", "events", 0, "metadata", "x"]]
    assert not stored(merchant).exists()


def test_metadata_at_the_limits_is_kept_with_its_types(wire, merchant):
    metadata = {
        "i": 2**63 - 1,
        "f": 1.0,
        "e": 2.5e-7,
        "b": True,
        "s": "é" * 500,
        "_cost": {"amount": "0.000000000001", "currency": "usd"},
        "_llm": {**LLM, "cached_input_tokens": 1, "prompt": None, "response": "r" * 5000},
    }
    assert ingest(wire, {**EVENT, "name": "n" * 128, "metadata": metadata}).json()["inserted"] == 1
    [event] = wire.get("events/").json()["items"]
    found = event["metadata"]
    assert {name: found[name] for name in "ifebs"} == {name: metadata[name] for name in "ifebs"}
    assert isinstance(found["f"], float) and found["b"] is True
    assert found["_cost"] == {"amount": "0.000000000001", "currency": "usd"}
    assert found["_llm"]["response"] == "r" * 5000
    assert (stored(merchant).get().completion_tokens, stored(merchant).get().model) == (2, "m")


def test_a_clock_that_is_a_little_ahead_is_forgiven(wire):
    soon = (timezone.now() + timedelta(seconds=50)).isoformat()
    assert (
        ingest(wire, {**EVENT, "timestamp": soon}, {**EVENT, "timestamp": "1999-01-01T00:00:00+01:00"}).status_code
        == 200
    )


def test_a_customer_id_may_be_ours_or_the_merchants(wire, merchant):
    at = timezone.now()
    by_own_uuid = str(uuid7())
    ada = create_customer(organization_id=merchant.pk, email="ada@example.com", external_id="ada", actor="t", at=at)
    bob = create_customer(organization_id=merchant.pk, email="b@example.com", external_id=by_own_uuid, actor="t", at=at)
    like_one = "0191f6f0_0000_7000_8000_000000000"  # what Python would take for an id of ours
    named = [str(ada.id), "ada", by_own_uuid, "nobody-yet", like_one]
    assert ingest(wire, *({"name": "n", "customer_id": each} for each in named)).json()["inserted"] == 5
    found = wire.get("events/?source=user&sorting=timestamp").json()["items"]
    assert {each["customer_id"] for each in found} == {str(ada.id), str(bob.id), None}
    assert {each["external_customer_id"] for each in found} == {"ada", *named[2:]}
    late = create_customer(
        organization_id=merchant.pk, email="n@example.com", external_id="nobody-yet", actor="t", at=timezone.now()
    )
    assert wire.get(f"events/?customer_id={late.id}&source=user").json()["pagination"]["total_count"] == 1


def test_more_than_fits_is_refused_before_it_is_read(wire):
    refused(wire.post("events/ingest", b" " * (24 * 1024 * 1024 + 1)), 413, "PayloadTooLarge")
    many = {"events": [EVENT] * 10_001}
    assert places(wire.post("events/ingest", json.dumps(many))) == [["body", "events"]]


def test_a_thousand_events_are_stored_by_one_request(wire, merchant):
    events = [with_metadata(n=number, totalTokens=3) for number in range(1000)]
    assert ingest(wire, *events).json() == {"inserted": 1000, "duplicates": 0}
    assert stored(merchant).count() == 1000


CUT_SHORT = b'{"events":[{"name":1},'


@pytest.mark.parametrize(
    "body",
    [
        CUT_SHORT,
        CUT_SHORT + b'{"name":"\xff","external_customer_id":"u"}]}',
        CUT_SHORT + b'{"name":"\\uD800","external_customer_id":"u"}]}',
        CUT_SHORT
        + b'{"name":"n","external_customer_id":"u","metadata":{"a":'
        + b"[" * 100_000
        + b"]" * 100_000
        + b"}}]}",
    ],
    ids=["cut short", "no utf-8", "half a character", "too deep"],
)
def test_what_is_no_json_behind_an_event_that_does_not_fit_is_refused_too(wire, merchant, body):
    assert places(wire.post("events/ingest", body)) == [["body"]]


def test_a_number_with_an_exponent_beyond_all_is_refused(wire, merchant):
    body = json.dumps({"events": [with_metadata(n=0)]}).replace(": 0}", ": 1e9999999999999999999}")
    assert places(wire.post("events/ingest", body))[0][:3] == ["body", "events", 0]
    assert not stored(merchant).exists()


@pytest.mark.parametrize("value", [1, 0.5, True, "1"], ids=str)
def test_a_cost_and_a_call_are_objects_or_refused(wire, merchant, value):
    answer = ingest(wire, with_metadata(_cost=value, _llm=value))
    assert places(answer) == [["body", "events", 0, "metadata", name] for name in ("_cost", "_llm")]
    assert not stored(merchant).exists()


def test_a_time_that_could_not_be_read_again_is_refused(wire, merchant):
    for early in ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"):
        assert places(ingest(wire, {**EVENT, "timestamp": early})) == [["body", "events", 0, "timestamp"]]
    assert ingest(wire, {**EVENT, "timestamp": "0900-01-01T00:00:00+14:00"}).status_code == 200
    assert wire.get("events/").json()["pagination"]["total_count"] == 1
    meter = wire.post("meters/", {"name": "all", "filter": {"conjunction": "and", "clauses": []}} | COUNTS).json()["id"]
    for start, end in (("0001-01-01T00:00:00%2B14:00", "2026-01-01T00:00:00Z"), ("9999-12-31T00:00:00Z",) * 2):
        span = f"start_timestamp={start}&end_timestamp={end}&interval=year"
        assert "timestamp" in places(wire.get(f"meters/{meter}/quantities?{span}"))[0][1]


def test_a_backslash_before_u0000_is_text(wire, merchant):
    assert ingest(wire, {**EVENT, "name": "a\\u0000"}).json() == {"inserted": 1, "duplicates": 0}
    assert stored(merchant).get().name == "a\\u0000"
    for name in ("a\0", "a\\\0"):
        assert places(ingest(wire, {**EVENT, "name": name})) == [["body"]]


def test_numbers_as_large_as_a_double_are_aggregated_and_shown_as_they_were_sent(wire, merchant):
    everything = {"conjunction": "and", "clauses": []}
    for function in ("sum", "avg", "min", "max"):
        aggregation = {"func": function, "property": "x"}
        wire.post("meters/", {"name": function, "filter": everything, "aggregation": aggregation})
    customer = wire.post("customers/", {"email": "ada@example.com", "external_id": "user_42"}).json()["id"]
    body = json.dumps({"events": [with_metadata(x=0)] * 3}).replace('"x": 0', '"x": {}')
    for number in ("1e307", "-2.5e-7", "1e300"):
        body = body.replace("{}", number, 1)
    assert wire.post("events/ingest", body).json()["inserted"] == 3
    shown = wire.get("events/?source=user").json()["items"]
    assert sorted(event["metadata"]["x"] for event in shown) == [-2.5e-7, 1e300, 1e307]
    assert {type(event["metadata"]["x"]) for event in shown} == {float}
    state = wire.get(f"customers/{customer}/state").json()
    found = {meter["meter"]["name"]: float(meter["consumed_units"]) for meter in state["active_meters"]}
    total = 1e307 + 1e300
    assert found == {"sum": total, "avg": pytest.approx(total / 3), "min": -2.5e-7, "max": 1e307}
    answer = wire.get("customer-meters/?external_customer_id=user_42")
    assert {float(each["balance"]) for each in answer.json()["items"] if each["meter"]["name"] == "max"} == {-1e307}

"""``POST metering/track/batch``: every event ends on its own, in the order sent."""

import pytest

from credits.models import CreditAccount, LedgerEntry
from metering.models import UsageDay, UsageEvent
from tests.builders import usd
from tests.metering.reporting import Reporter, make_model, make_reporter
from tests.metering.sums import counted, stored

pytestmark = pytest.mark.django_db


def balance(organization):
    return CreditAccount.objects.get(pk=organization.pk).balance


def test_a_batch_records_every_event_and_says_what_it_cost():
    organization = make_reporter()
    make_model()
    status, body = Reporter(organization).track_batch(
        [
            {"external_id": "a", "kind": "chat", "model": "vendor/model", "prompt_tokens": 1000},
            {"external_id": "b", "kind": "search", "cost": "0.005"},
            {"name": "page rendered"},
        ]
    )
    assert status == 200
    results = body.pop("results")
    assert body == {"recorded": 3, "duplicates": 0, "refused": 0, "charge": "0.0066", "available": "9.9934"}
    assert [(one["index"], one["status"], one.get("external_id"), one["charge"]) for one in results] == [
        (0, "recorded", "a", "0.0011"),
        (1, "recorded", "b", "0.0055"),
        (2, "recorded", None, "0"),
    ]
    ids = {str(event_id) for event_id in UsageEvent.objects.values_list("id", flat=True)}
    assert ids == {one["event_id"] for one in results}
    assert balance(organization) == usd("9.9934")


@pytest.mark.parametrize("half", [rb"\ud83d", rb"\uDC00", rb"\ud83d\ud83d\ude00"])
def test_half_a_character_costs_no_other_event(half):
    """Text that was cut anywhere has it, as JSON.stringify of a browser and json.dumps write it."""
    reporter = Reporter(make_reporter())
    bad = b'{"name": "cut ' + half + b'"}'
    whole = rb'{"name": "\ud83d\ude00 \\ud83d \ufffd"}'
    body = b'{"events": [' + b" , ".join([whole, bad, whole, rb'{"name": "\\"}', bad]) + b"]}"
    answer = reporter.client.generic("POST", "/api/v1/metering/track/batch", body, content_type="application/json")
    results = answer.json()["results"]
    assert [one["error"]["code"] if "error" in one else one["status"] for one in results] == [
        "recorded", "malformed_json", "recorded", "recorded", "malformed_json",
    ]  # fmt: skip
    names = sorted(UsageEvent.objects.values_list("name", flat=True))
    assert names == ["\\", "\U0001f600 \\ud83d \ufffd", "\U0001f600 \\ud83d \ufffd"]


def test_bad_events_do_not_stop_the_good_ones():
    organization = make_reporter("1")
    reporter = Reporter(organization)
    reporter.track({"external_id": "old", "name": "x"})
    status, body = reporter.track_batch(
        [
            {"external_id": "good 1", "name": "x", "cost": "0.1"},
            {"name": "x", "prompt_tokens": -1},
            {"name": "x", "unknown": 1},
            "not an object",
            {"kind": "chat", "model": "vendor/unknown", "prompt_tokens": 5},
            {"external_id": "old", "name": "x"},
            {"external_id": "old", "name": "y"},
            {"external_id": "too dear", "name": "x", "cost": "5"},
            {"external_id": "good 2", "name": "x", "cost": "0.2"},
        ]
    )
    assert status == 207
    codes = [one["error"]["code"] if "error" in one else one["status"] for one in body["results"]]
    assert codes == [
        "recorded",
        "invalid_request",
        "invalid_request",
        "invalid_request",
        "unknown_model",
        "duplicate",
        "idempotency_key_reused",
        "insufficient_credits",
        "recorded",
    ]
    assert (body["recorded"], body["duplicates"], body["refused"], body["charge"]) == (2, 1, 6, "0.33")
    fields = [one["error"]["errors"][0]["field"] for one in body["results"][1:4]]
    assert fields == ["prompt_tokens", "unknown", ""]
    assert body["results"][7]["error"]["available"] == "0.89"
    assert (UsageEvent.objects.count(), balance(organization)) == (3, usd("0.67"))
    assert stored() == counted()


def test_credit_that_runs_out_refuses_the_rest_and_nothing_else():
    organization = make_reporter("1", components=())
    _, body = Reporter(organization).track_batch(
        [{"external_id": str(n), "name": "x", "cost": "0.3"} for n in range(5)]
    )
    assert [one["status"] for one in body["results"]] == ["recorded"] * 3 + ["refused"] * 2
    assert (body["available"], balance(organization)) == ("0.1", usd("0.1"))
    assert LedgerEntry.objects.filter(kind="charge").count() == 3
    again = Reporter(organization).track_batch([{"external_id": str(n), "name": "x", "cost": "0.3"} for n in range(5)])[
        1
    ]
    assert [one["status"] for one in again["results"]] == ["duplicate"] * 3 + ["refused"] * 2
    assert [one["charge"] for one in again["results"]] == ["0.3"] * 3 + ["0"] * 2
    assert stored() == counted()


def test_a_batch_sent_again_counts_once():
    organization = make_reporter()
    events = [{"external_id": str(n), "name": "x", "cost": "0.01"} for n in range(20)]
    first = Reporter(organization).track_batch(events)[1]
    status, again = Reporter(organization).track_batch(events[::-1])
    assert (status, again["duplicates"], again["charge"]) == (200, 20, "0")
    assert {one["external_id"]: one["event_id"] for one in again["results"]} == {
        one["external_id"]: one["event_id"] for one in first["results"]
    }
    assert (UsageEvent.objects.count(), balance(organization)) == (20, usd("9.78"))


def test_ten_thousand_events_are_taken_and_one_more_is_refused_whole():
    reporter = Reporter(make_reporter("0"))
    events = [{"external_id": str(n), "name": "x"} for n in range(10_001)]
    status, body = reporter.track_batch(events)
    assert (status, body["code"], body["limit"], UsageEvent.objects.count()) == (413, "too_many_events", 10_000, 0)
    status, body = reporter.track_batch(events[:10_000])
    assert (status, body["recorded"], UsageEvent.objects.count()) == (200, 10_000, 10_000)
    assert stored() == counted()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"events": []}', "invalid_request"),
        (b'{"events": {}}', "invalid_request"),
        (b"[]", "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"events": [{"name": "x"}], "mode": "all"}', "invalid_request"),
        (b'{"events": [{"name": "x"}', "malformed_json"),
        (b'{"events": [{"name": "x", "cost": NaN}, {"name": 5}]}', "malformed_json"),
        (b"", "malformed_json"),
    ],
)
def test_a_body_that_is_no_batch_is_refused_whole(text, code):
    client = Reporter(make_reporter()).client
    response = client.generic("POST", "/api/v1/metering/track/batch", text, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert UsageEvent.objects.count() == 0


def test_an_idempotency_key_answers_the_same_batch_the_same():
    organization = make_reporter()
    body = {"events": [{"name": "x", "cost": "1"}, {"name": "x", "cost": "100"}]}
    reporter = Reporter(organization)
    first = reporter.send("POST", "metering/track/batch", body, idempotency_key="k")
    again = reporter.send("POST", "metering/track/batch", body, idempotency_key="k")
    assert (first.status_code, again.status_code, again.content) == (207, 207, first.content)
    assert (UsageEvent.objects.count(), balance(organization)) == (1, usd("8.9"))


def test_the_available_figure_is_that_after_the_whole_batch():
    from datetime import timedelta

    from django.utils import timezone

    from credits.services import HoldRequest, place_hold

    organization = make_reporter("10", components=())
    now = timezone.now()
    hold = place_hold(HoldRequest(organization.pk, usd("5"), "k", now + timedelta(minutes=5)), at=now)
    events = [{"name": "x", "cost": "1"}, {"name": "x", "cost": "2", "hold_id": str(hold.hold_id)}]
    assert Reporter(organization).track_batch(events)[1]["available"] == "7"


@pytest.mark.django_db(transaction=True)
def test_a_sum_beyond_what_its_column_holds_is_a_refusal_and_leaves_no_trace():
    organization = make_reporter()
    reporter = Reporter(organization)
    event = {"name": "x", "cost": "1", "prompt_tokens": 5}
    assert reporter.track_batch([event])[0] == 200
    UsageDay.objects.update(prompt_tokens=2**63 - 3)
    before = balance(organization)
    status, body = reporter.track_batch([event])
    assert (status, body["code"]) == (422, "figure_too_large")
    assert (UsageEvent.objects.count(), balance(organization)) == (1, before)

"""Single events: found, explained, taken back and corrected, by those who may."""

from datetime import timedelta

import pytest
from django.utils import timezone

from core.ids import uuid7
from credits.models import CreditAccount, LedgerEntry
from credits.services import HoldRequest, place_hold
from metering.derivation import derive
from metering.models import UsageEvent
from metering.rating import PriceCard, TokenUsage, apply_markup, rate
from metering.services import record_usage
from tests.builders import NOON, make_record, usd
from tests.metering.reporting import TEN_PERCENT, Reporter, make_model, make_reporter
from tests.metering.sums import counted, stored

pytestmark = pytest.mark.django_db

CHAT = {"kind": "chat", "model": "vendor/model", "prompt_tokens": 1000, "completion_tokens": 500}


def balance(organization):
    return CreditAccount.objects.get(pk=organization.pk).balance


def track(organization, event):
    status, body = Reporter(organization).track(event)
    assert status == 201, body
    return body["event_id"]


def gateway_call(organization, cost="0.0021"):
    """A call through the gateway: held, answered, settled on the provider's own figure."""
    hold = place_hold(
        HoldRequest(organization.pk, usd("0.01"), str(uuid7()), NOON + timedelta(hours=1), purpose="gateway"), at=NOON
    )
    card = PriceCard.from_openrouter({"prompt": "0.000001", "completion": "0.000002"})
    rated = rate(TokenUsage(prompt_tokens=1000, completion_tokens=500), card, NOON)
    charge = apply_markup(usd(cost), 1500, 1, [TEN_PERCENT], is_free=False, is_byok=False)
    record = make_record(
        organization,
        str(charge.charge),
        kind="chat",
        model="vendor/model",
        source="gateway",
        cost_source="provider",
        hold_id=hold.hold_id,
        provider_cost=charge.cost,
        markup=charge.markup,
        derivation=derive(charge, source="provider", rated=rated),
        tier_slug="starter",
    )
    [outcome] = record_usage([record], at=NOON)
    assert outcome.status == "recorded"
    return str(outcome.event_id)


# ---------------------------------------------------------------- list and read


def test_events_are_listed_newest_first_in_pages_even_when_they_share_an_instant():
    organization = make_reporter()
    records = [make_record(organization, occurred_at=NOON, name=str(n)) for n in range(7)]
    records += [make_record(organization, occurred_at=NOON - timedelta(days=n), name=f"day {n}") for n in range(1, 4)]
    record_usage(records, at=NOON)
    reporter = Reporter(organization)
    seen, sizes, url = [], [], "/api/v1/metering/events?limit=3"
    while url:
        page = reporter.client.get(url).json()
        seen += [event["id"] for event in page["data"]]
        sizes.append(len(page["data"]))
        url = page["next"]
    ordered = UsageEvent.objects.order_by("-occurred_at", "-id").values_list("id", flat=True)
    assert (seen, sizes) == ([str(event_id) for event_id in ordered], [3, 3, 3, 1])
    back = reporter.client.get(page["previous"]).json()
    assert [event["id"] for event in back["data"]] == seen[6:9]


def test_an_event_is_shown_field_for_field():
    organization = make_reporter()
    make_model()
    event = {"external_id": "call-1", **CHAT, "tags": {"feature": "x"}, "metadata": {"n": 0.5}, "latency_ms": 12}
    event_id = track(organization, event)
    status, body = Reporter(organization).ask("GET", f"metering/events/{event_id}")
    assert status == 200
    assert {name: body[name] for name in ("kind", "model", "prompt_tokens", "tags", "latency_ms")} == {
        name: event[name] for name in ("kind", "model", "prompt_tokens", "tags", "latency_ms")
    }
    assert (body["external_id"], body["charge"], body["provider_cost"], body["source"]) == (
        "call-1",
        "0.0022",
        "0.002",
        "api",
    )
    assert body["metadata"] == {"n": 0.5}
    assert (body["voided_at"], body["corrects_id"]) == (None, None)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"kind": "chat"}, {"a"}),
        ({"kind": ["chat", "tts"]}, {"a", "b"}),
        ({"status": "error"}, {"b"}),
        ({"name": "c"}, {"c"}),
        ({"model": "vendor/model"}, {"a"}),
        ({"tag": "feature:search"}, {"a"}),
        ({"tag": "feature"}, {"a", "b"}),
        ({"external_id": "mine"}, {"c"}),
        ({"external_id": "nobody's"}, set()),
        ({"from": "2026-03-02T11:30:00Z"}, {"a", "b"}),
        ({"to": "2026-03-02T11:30:00Z"}, {"c"}),
        ({"is_free": "true"}, {"b"}),
        ({"voided": "true"}, {"b"}),
        ({"voided": "false"}, {"a", "c"}),
    ],
)
def test_events_can_be_filtered(query, names):
    organization = make_reporter()
    records = [
        make_record(organization, name="a", kind="chat", model="vendor/model", tags={"feature": "search"}),
        make_record(organization, name="b", kind="tts", status="error", tags={"feature": "speak"}, is_free=True),
        make_record(organization, name="c", external_id="mine", occurred_at=NOON - timedelta(hours=1)),
    ]
    outcomes = record_usage(records, at=NOON)
    reporter = Reporter(organization)
    reporter.ask("POST", f"metering/events/{outcomes[1].event_id}/void", {"reason": "mistake"})
    page = reporter.client.get("/api/v1/metering/events", query).json()
    assert {event["name"] for event in page["data"]} == names


def test_a_cursor_that_is_none_is_refused():
    for cursor in ("x", "older.", "older.2026", "newer.2026-03-02T12:00:00+00:00~5", "older.\x00"):
        response = Reporter(make_reporter()).client.get("/api/v1/metering/events", {"cursor": cursor})
        assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor"), cursor


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("GET", "/explain"), ("POST", "/void"), ("POST", "/correct")]
)
def test_somebody_elses_event_does_not_exist(method, path):
    owner = make_reporter()
    event_id = track(owner, {"name": "x", "cost": "1"})
    body = {"reason": "r", "event": {"name": "x"}} if path == "/correct" else {"reason": "r"}
    status, answer = Reporter(make_reporter()).ask(method, f"metering/events/{event_id}{path}", body)
    assert (status, answer["code"], balance(owner)) == (404, "unknown_event" if path else "not_found", usd("8.9"))


# ---------------------------------------------------------------- explain


def test_a_charge_is_explained_to_the_last_digit():
    organization = make_reporter()
    price = make_model()
    event_id = track(organization, CHAT)
    status, body = Reporter(organization).ask("GET", f"metering/events/{event_id}/explain")
    assert status == 200
    assert [(row["label"], row["sum"], row["amount"]) for row in body["usage"]] == [
        ("Input tokens", "1,000 × $0.000001", "0.001"),
        ("Output tokens", "500 × $0.000002", "0.001"),
    ]
    assert [(row["label"], row["sum"], row["amount"]) for row in body["additions"]] == [
        ("Markup", "10 % × $0.002", "0.0002")
    ]
    assert (body["provider_cost"], body["charge"], body["cost_source"]) == ("0.002", "0.0022", "computed")
    assert (body["price"]["id"], body["price"]["pricing"]["prompt"]) == (str(price.id), "0.000001")
    assert [(part["kind"], part["amount"]) for part in body["paid_by"]] == [("bonus", "-0.0022")]
    assert (body["agrees"], body["problem"], body["components"]) == (True, "", [TEN_PERCENT])
    words = " ".join(body["words"])
    for figure in (
        "1,000 × $0.000001 = $0.001",
        "10 % × $0.002 = $0.0002",
        "$0.0022 came from bonus credit",
        "same amount",
    ):
        assert figure in words


def test_a_gateway_call_is_explained_with_its_hold():
    organization = make_reporter("10")
    _, body = Reporter(organization).ask("GET", f"metering/events/{gateway_call(organization)}/explain")
    assert (body["provider_cost"], body["charge"], body["agrees"]) == ("0.0021", "0.00231", True)
    assert (body["hold"]["amount"], body["hold"]["status"]) == ("0.01", "settled")
    assert "$0.01 had been set aside for it; $0.00769 was given back." in body["words"]


def test_an_event_that_costs_nothing_is_explained_too():
    organization = make_reporter("0")
    _, body = Reporter(organization).ask("GET", f"metering/events/{track(organization, {'name': 'x'})}/explain")
    assert (body["charge"], body["agrees"], body["paid_by"], body["price"]) == ("0", True, [], None)
    assert "It costs no credits." in body["words"]


def test_a_charge_that_was_tampered_with_is_said_not_to_agree():
    organization = make_reporter()
    make_model()
    event_id = track(organization, CHAT)
    UsageEvent.objects.update(charge=usd("0.0023"))
    _, body = Reporter(organization).ask("GET", f"metering/events/{event_id}/explain")
    assert body["agrees"] is False
    assert "0.0022" in body["problem"]
    assert body["words"][-1].startswith("It does not add up")


# ---------------------------------------------------------------- void and correct


def test_a_void_gives_the_charge_back_once():
    organization = make_reporter()
    event_id = track(organization, {"name": "x", "cost": "1"})
    reporter = Reporter(organization)
    status, body = reporter.ask("POST", f"metering/events/{event_id}/void", {"reason": "reported twice"})
    assert (status, body["event_id"], body["replacement_id"], body["reason"]) == (200, event_id, None, "reported twice")
    assert str(LedgerEntry.objects.get(kind="reversal").id) == body["reversal_entry_id"]
    assert reporter.ask("POST", f"metering/events/{event_id}/void", {"reason": "again"}) == (200, body)
    assert balance(organization) == usd("10")
    assert reporter.ask("GET", f"metering/events/{event_id}")[1]["voided_at"] is not None
    assert "taken back" in " ".join(reporter.ask("GET", f"metering/events/{event_id}/explain")[1]["words"])
    assert stored() == counted()


def test_a_void_needs_a_reason():
    organization = make_reporter()
    event_id = track(organization, {"name": "x", "cost": "1"})
    for body in ({}, {"reason": ""}, {"reason": "r", "amount": "5"}):
        assert Reporter(organization).ask("POST", f"metering/events/{event_id}/void", body)[0] == 400
    assert balance(organization) == usd("8.9")


def test_a_correction_charges_the_difference():
    organization = make_reporter()
    make_model()
    then = timezone.now() - timedelta(days=3)
    event_id = track(organization, {"external_id": "a", **CHAT, "occurred_at": then.isoformat()})
    reporter = Reporter(organization)
    asked = {"reason": "counted twice", "event": {**CHAT, "prompt_tokens": 500}}
    status, body = reporter.ask("POST", f"metering/events/{event_id}/correct", asked)
    assert (status, body["event"]["charge"], body["event"]["corrects_id"]) == (200, "0.00165", event_id)
    assert (body["correction"]["replacement_id"], UsageEvent.objects.get(corrects_id=event_id).occurred_at) == (
        body["event"]["id"],
        then,
    )
    assert body["event"]["api_key_id"] == str(UsageEvent.objects.get(id=event_id).api_key_id)
    assert balance(organization) == usd("9.99835")
    assert reporter.ask("POST", f"metering/events/{event_id}/correct", asked) == (200, body)
    other = {"reason": "again", "event": CHAT}
    assert reporter.ask("POST", f"metering/events/{event_id}/correct", other)[1]["code"] == "event_already_corrected"
    assert balance(organization) == usd("9.99835")
    assert stored() == counted()


@pytest.mark.parametrize(
    ("body", "field", "detail"),
    [
        ({"reason": "r", "evnt": {}}, "evnt", "Unknown field; known are reason, event."),
        ({"reason": "r", "event": {"name": "x", "tokens": 1}}, "event.tokens", "known are external_id, kind, name,"),
        ({"reason": "r"}, "", "Object missing required field event."),
    ],
)
def test_a_correction_that_does_not_fit_names_the_fields_of_its_place(body, field, detail):
    organization = make_reporter()
    event_id = track(organization, {"name": "x", "cost": "1"})
    problem = Reporter(organization).ask("POST", f"metering/events/{event_id}/correct", body)[1]
    [error] = problem["errors"]
    assert error["field"] == field
    assert detail in error["detail"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"reason": "r", "event": {"name": "x", "cost": "100"}}, 402, "insufficient_credits"),
        ({"reason": "r", "event": {"kind": "chat", "model": "?", "prompt_tokens": 1}}, 422, "unknown_model"),
        ({"reason": "r", "event": {"name": "x", "external_id": "new"}}, 400, "invalid_request"),
        ({"reason": "r", "event": {"name": "x", "hold_id": str(uuid7())}}, 400, "invalid_request"),
        ({"reason": "r", "event": {"name": "x", "prompt_tokens": -1}}, 400, "invalid_request"),
        ({"reason": "", "event": {"name": "x"}}, 400, "invalid_request"),
        ({"reason": "a\x00", "event": {"name": "x"}}, 400, "invalid_request"),
        ({"event": {"name": "x"}}, 400, "invalid_request"),
    ],
)
def test_a_correction_that_is_refused_changes_nothing(body, status, code):
    organization = make_reporter()
    event_id = track(organization, {"name": "x", "cost": "1"})
    answer = Reporter(organization).ask("POST", f"metering/events/{event_id}/correct", body)
    assert (answer[0], answer[1]["code"]) == (status, code)
    assert (balance(organization), UsageEvent.objects.get().voided_at) == (usd("8.9"), None)


@pytest.mark.parametrize("path", ["void", "correct"])
def test_what_a_provider_has_billed_is_taken_back_by_operators_only(path):
    organization = make_reporter("10")
    event_id = gateway_call(organization)
    body = {"reason": "r", "event": {"name": "x"}} if path == "correct" else {"reason": "r"}
    mine = Reporter(organization, scopes=("usage:write", "usage:read"))
    status, answer = mine.ask("POST", f"metering/events/{event_id}/{path}", body)
    assert (status, answer["code"], answer["required_scope"]) == (403, "insufficient_scope", "admin")
    assert balance(organization) == usd("9.99769")
    assert Reporter(organization).ask("POST", f"metering/events/{event_id}/{path}", body)[0] == 200
    assert balance(organization) == usd("10")


def test_an_idempotency_key_replays_a_void():
    organization = make_reporter()
    event_id = track(organization, {"name": "x", "cost": "1"})
    path, reporter = f"metering/events/{event_id}/void", Reporter(organization)
    first = reporter.send("POST", path, {"reason": "r"}, idempotency_key="k")
    again = reporter.send("POST", path, {"reason": "r"}, idempotency_key="k")
    assert (first.content, again.headers["Idempotent-Replayed"]) == (again.content, "true")
    assert reporter.ask("POST", path, {"reason": "other"}, idempotency_key="k")[1]["code"] == "idempotency_key_reused"

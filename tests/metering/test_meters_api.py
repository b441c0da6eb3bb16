"""Meters through the API: defined, asked, archived; refused where they are none."""

from datetime import timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from core.ids import uuid7
from metering.customer_events import CustomerEvent
from metering.meters.models import Meter
from metering.meters.quantities import quantities as ask
from metering.services import create_meter, ingest_events
from tests.api.caller import Caller
from tests.builders import NOON, make_customer

pytestmark = pytest.mark.django_db
EVERYTHING = {"conjunction": "and", "clauses": []}
TOKENS = {"name": "Tokens", "filter": EVERYTHING, "aggregation": {"func": "sum", "property": "metadata.n"}}


@pytest.fixture
def caller():
    return Caller(make_customer())


def use(caller, *events):
    sent = [CustomerEvent(**event) for event in events]
    ingest_events(organization_id=caller.key.organization_id, events=sent, at=NOON)


def quantities(caller, meter, **query):
    span = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-04T00:00:00Z", **query}
    return caller.ask("GET", f"metering/meters/{meter}/quantities?{urlencode(span, doseq=True)}")


def test_a_meter_counts_what_was_there_before_it(caller):
    moments = [NOON - timedelta(days=1), NOON, NOON]
    numbers = [{"n": 3, "kind": "a"}, {"n": 0.1, "kind": "b"}, {"n": 0.2, "kind": "a"}]
    events = [{"name": "x", "occurred_at": at, "metadata": n} for at, n in zip(moments, numbers, strict=True)]
    use(caller, *events, {"name": "x", "metadata": {"n": 5}, "external_customer_id": "u"})
    status, meter = caller.ask("POST", "metering/meters", TOKENS)
    assert (status, meter["aggregation"]) == (201, {"func": "sum", "property": "n"})
    status, found = quantities(caller, meter["id"], time_zone="Europe/Berlin")
    assert status == 200 and found["total"] == "8.3" and found["groups"] == []
    # the range begins at one o'clock in Berlin, so its first day began before it
    assert [(one["start"], one["quantity"]) for one in found["buckets"]] == [
        ("2026-02-28T23:00:00Z", "3"),
        ("2026-03-01T23:00:00Z", "5.3"),
        ("2026-03-02T23:00:00Z", "0"),
        ("2026-03-03T23:00:00Z", "0"),
    ]
    assert quantities(caller, meter["id"], external_customer_id="u")[1]["total"] == "5"
    assert quantities(caller, meter["id"], customer_id=str(uuid7()))[1]["total"] == "0"
    assert quantities(caller, meter["id"], metadata=["kind:a", "kind:c"])[1]["total"] == "3.2"
    groups = quantities(caller, meter["id"], group_by="metadata.kind")[1]["groups"]
    assert [(group["value"], group["total"]) for group in groups] == [(None, "5"), ("a", "3.2"), ("b", "0.1")]


def test_a_meter_is_renamed_and_archived_and_keeps_what_it_counts(caller):
    _, meter = caller.ask("POST", "metering/meters", TOKENS)
    other = {"aggregation": {"func": "count"}}
    status, changed = caller.ask("PATCH", f"metering/meters/{meter['id']}", {**other, "name": "Events"})
    assert (status, changed["name"], changed["aggregation"]) == (200, "Events", {"func": "count"})
    use(caller, {"name": "x"})
    status, refusal = caller.ask("PATCH", f"metering/meters/{meter['id']}", {"aggregation": TOKENS["aggregation"]})
    assert (status, refusal["code"]) == (409, "meter_in_use")
    status, archived = caller.ask("PATCH", f"metering/meters/{meter['id']}", {"is_archived": True, **other})
    assert status == 200 and archived["archived_at"]
    assert caller.ask("GET", "metering/meters?is_archived=false")[1]["data"] == []
    assert [one["name"] for one in caller.ask("GET", "metering/meters?query=EVENT")[1]["data"]] == ["Events"]
    assert quantities(caller, meter["id"])[1]["total"] == "1"


def test_a_meter_is_its_organizations_own(caller):
    _, meter = caller.ask("POST", "metering/meters", TOKENS)
    stranger = Caller(make_customer())
    for method, path in (("GET", ""), ("PATCH", ""), ("GET", "/quantities")):
        query = "?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z" if path else ""
        body = {"name": "Mine"} if method == "PATCH" else None
        status, refusal = stranger.ask(method, f"metering/meters/{meter['id']}{path}{query}", body)
        assert (status, refusal["code"]) == (404, "unknown_meter")
    assert stranger.ask("GET", "metering/meters")[1]["data"] == []


def clause(**changes):
    return {"property": "n", "operator": "eq", "value": 1, **changes}


def nested(depth):
    return EVERYTHING if not depth else {"conjunction": "and", "clauses": [nested(depth - 1)]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"filter": {"conjunction": "xor", "clauses": []}}, "filter.conjunction"),
        ({"filter": {"conjunction": "or"}}, "filter.clauses"),
        ({"filter": {"conjunction": "or", "clauses": [clause(operator="in")]}}, "filter.clauses.0.operator"),
        ({"filter": {"conjunction": "or", "clauses": [clause(value=2**31)]}}, "filter.clauses.0.value"),
        ({"filter": {"conjunction": "or", "clauses": [clause(value=[1])]}}, "filter.clauses.0.value"),
        ({"filter": {"conjunction": "or", "clauses": [clause(value=None)]}}, "filter.clauses.0.value"),
        ({"filter": {"conjunction": "or", "clauses": [clause(value="x" * 1001)]}}, "filter.clauses.0.value"),
        ({"filter": {"conjunction": "or", "clauses": [clause(property="metadata.")]}}, "filter.clauses.0.property"),
        ({"filter": {"conjunction": "or", "clauses": [clause(), 3]}}, "filter.clauses.1"),
        ({"filter": {"conjunction": "or", "clauses": [clause()] * 201}}, "filter"),
        ({"filter": nested(20)}, "filter" + ".clauses.0" * 20),
        ({"filter": [], "aggregation": {"func": "count"}}, "filter"),
        ({"aggregation": {"func": "median", "property": "n"}}, "aggregation.func"),
        ({"aggregation": {"func": "sum"}}, "aggregation.property"),
        ({"aggregation": {"func": "count", "by": "n"}}, "aggregation.by"),
    ],
    ids=range(15),
)
def test_what_is_no_meter_is_refused_by_the_field(caller, change, field):
    status, refusal = caller.ask("POST", "metering/meters", {**TOKENS, **change})
    assert (status, refusal["code"]) == (400, "invalid_meter")
    assert [error["field"] for error in refusal["errors"]] == [field]
    assert not Meter.objects.filter(organization=caller.key.organization).exists()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"from": "2000-01-01T00:00:00Z", "interval": "hour"}, "too_fine_grained"),
        ({"from": "2026-03-05T00:00:00Z"}, "invalid_request"),
        ({"time_zone": "Mars/Olympus"}, "invalid_request"),
        ({"metadata": "kind"}, "invalid_request"),
        ({"colour": "red"}, "invalid_request"),
    ],
    ids=range(5),
)
def test_a_question_that_makes_no_sense_is_refused(caller, query, code):
    _, meter = caller.ask("POST", "metering/meters", TOKENS)
    status, refusal = quantities(caller, meter["id"], **query)
    assert (status, refusal["code"]) == (400, code)


def test_an_operators_meter_is_made_in_the_back_office(admin_client):
    form = {"name": "Calls", "unit": "call", "filter": '{"conjunction": "and", "clauses": []}', "func": "count"}
    path = "/admin/metering/meter/"
    assert admin_client.post(f"{path}add/", {**form, "func": "sum"}).status_code == 200  # names no property
    assert not Meter.objects.exists()
    assert admin_client.post(f"{path}add/", form).status_code == 302
    meter = Meter.objects.get()
    assert (meter.organization, meter.aggregation) == (None, {"func": "count"})
    assert b"Our own" in admin_client.get(path).content
    admin_client.post(path, {"action": "archive", "_selected_action": [str(meter.pk)]})
    meter.refresh_from_db()
    assert meter.archived_at is not None


def test_a_customers_quantities_can_be_made_first(caller):
    use(
        caller,
        *(
            {"name": "x", "external_customer_id": who, "metadata": {"n": n}}
            for who, n in zip("aab", (1, 2, 9), strict=True)
        ),
    )
    meter = create_meter(organization_id=caller.key.organization_id, at=NOON, **TOKENS)
    span = {"start": NOON - timedelta(days=1), "end": NOON + timedelta(days=1), "interval": "month"}
    said = {
        how: ask(meter=meter, **span, zone=ZoneInfo("UTC"), across_customers=how).total for how in ("avg", "max", "min")
    }
    assert said == {"avg": 6, "max": 9, "min": 3}

"""Coupons over the API: shapes, scopes, keys sent again, guessing, and what strangers are told."""

import csv
import json
from io import StringIO
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.ratelimits import limiter
from accounts.ratelimits.limiter import _Outage
from coupons.models import Coupon, CouponBatch, Redemption
from credits.models import LedgerEntry
from outbox.models import DomainEvent
from tests.api.caller import Caller
from tests.builders import NOON, make_customer, make_organization, usd
from tests.coupons.making import books, make_coupon, redeem
from tests.coupons.test_redeeming import unredeemable
from tiers.services import create_tier

pytestmark = pytest.mark.django_db

CUSTOMER = ("credits:read", "credits:write")


@pytest.fixture(autouse=True)
def room_to_try(settings, monkeypatch):
    """Counters outlive tests; those of guessing set their own."""
    settings.COUPON_ATTEMPTS_PER_MINUTE = settings.COUPON_ATTEMPTS_PER_DAY = 1_000_000
    monkeypatch.setattr(limiter, "outage", _Outage())


@pytest.fixture
def customer():
    return make_customer()


@pytest.fixture
def service(customer):
    """A customer's own service: no operator's key."""
    return Caller(customer, scopes=CUSTOMER)


@pytest.fixture
def operator(customer):
    return Caller(customer, scopes=("admin",))


BONUS = {"code": "welcome10", "type": "bonus", "amount": "10.00", "credit_days": 90, "max_uses": 2, "note": "Spring"}


# ---------------------------------------------------------------- creating


def test_a_created_coupon_is_shown_whole(operator):
    status, coupon = operator.ask("POST", "coupons/create", BONUS)
    assert status == 201
    assert {name: coupon[name] for name in ("code", "type", "offer", "amount", "credit_days", "state", "mode")} == {
        "code": "WELCOME10",
        "type": "bonus",
        "offer": "$10.00 of bonus credit for 90 days",
        "amount": "10",
        "credit_days": 90,
        "state": "active",
        "mode": "live",
    }
    assert (coupon["uses"], coupon["max_uses"], coupon["max_uses_per_organization"]) == (0, 2, 1)
    assert coupon["created_by"] == DomainEvent.objects.get(type="coupon.created").actor_label
    assert "api key" in coupon["created_by"]


@pytest.mark.parametrize(
    ("body", "offer"),
    [
        ({"type": "free_period"}, "1 month of your plan free"),
        ({"type": "percent", "percent": "15"}, "15 % off every payment"),
        ({"type": "percent", "percent": 7, "applies_to": "credits", "periods": 1}, "7 % off the next credit purchase"),
        ({"type": "tier", "tier": "pro"}, "Professional for 1 month"),
        ({"type": "bonus", "amount": 5, "max_uses_per_organization": None}, "$5.00 of bonus credit"),
    ],
)
def test_types_have_sensible_defaults_and_a_code_is_drawn(operator, body, offer):
    create_tier(at=NOON, slug="pro", name="Professional")
    status, coupon = operator.ask("POST", "coupons/create", body)
    assert (status, coupon["offer"], len(coupon["code"])) == (201, offer, 10)


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"amount": "-1"}, 400, "invalid_request", "amount"),
        ({"amount": "0.0000000000001"}, 400, "invalid_request", "amount"),
        ({"amount": 1.5}, 201, None, None),
        ({"amount": "1e999"}, 400, "invalid_request", "amount"),
        ({"amount": "ten"}, 400, "invalid_request", "amount"),
        ({"type": "percent", "percent": "101", "amount": None}, 400, "invalid_request", "amount"),
        ({"type": "lottery"}, 400, "invalid_request", "type"),
        ({"code": "wel come"}, 400, "invalid_request", "code"),
        ({"code": "a\u0000b"}, 400, "invalid_request", "code"),
        ({"code": "🎁🎁🎁"}, 400, "invalid_request", "code"),
        ({"code": "redeem"}, 400, "invalid_request", "code"),
        ({"max_uses": 0}, 400, "invalid_request", "max_uses"),
        ({"max_uses": "many"}, 400, "invalid_request", "max_uses"),
        ({"max_uses": 10**30}, 400, "invalid_request", "max_uses"),
        ({"starts_at": "2030-01-02T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"}, 400, "invalid_request", "ends_at"),
        ({"ends_at": "2001-01-01T00:00:00Z"}, 400, "invalid_request", "ends_at"),
        ({"ends_at": "tomorrow"}, 400, "invalid_request", "ends_at"),
        ({"tiers": ["gold"]}, 404, "unknown_tier", None),
        ({"tiers": "gold"}, 400, "invalid_request", "tiers"),
        ({"colour": "red"}, 400, "invalid_request", "colour"),
    ],
)
def test_bad_input_is_a_coded_error_and_makes_nothing(operator, change, status, code, field):
    found, answer = operator.ask("POST", "coupons/create", {**BONUS, **change})
    assert found == status, answer
    if status == 201:
        return
    assert answer["code"] == code
    assert field is None or field in {error["field"] for error in answer["errors"]}
    assert Coupon.objects.count() == 0


@pytest.mark.parametrize("percent", ["101", "100.01", "0", "-5", "1.005", "NaN", "1e3", ""])
def test_a_percentage_lies_between_nothing_and_all(operator, percent):
    status, answer = operator.ask("POST", "coupons/create", {"type": "percent", "percent": percent})
    assert (status, answer["code"], answer["errors"][0]["field"]) == (400, "invalid_request", "percent")
    assert Coupon.objects.count() == 0


def test_creating_with_a_key_twice_makes_one_and_answers_the_same(operator):
    first = operator.send("POST", "coupons/create", BONUS, idempotency_key="spring")
    again = operator.send("POST", "coupons/create", BONUS, idempotency_key="spring")
    assert (again.status_code, again.content, again["Idempotent-Replayed"]) == (201, first.content, "true")
    assert operator.ask("POST", "coupons/create", {**BONUS, "amount": "11"}, idempotency_key="spring")[0] == 422
    assert Coupon.objects.count() == 1
    assert operator.ask("POST", "coupons/create", BONUS)[1]["code"] == "coupon_code_taken"


def test_many_codes_are_made_at_once_and_read_back_as_csv(operator):
    body = {"prefix": "acme", "count": 12, "type": "percent", "percent": "20", "partner": "=Acme", "max_uses": 1}
    status, batch = operator.ask("POST", "coupons/generate", body, idempotency_key="b")
    assert (status, batch["prefix"], batch["size"], len(set(batch["codes"]))) == (201, "ACME", 12, 12)
    assert operator.ask("POST", "coupons/generate", body, idempotency_key="b")[1] == batch
    make_coupon("UNRELATED")
    text = operator.send("GET", f"coupons/export.csv?batch={batch['id']}").getvalue().decode()
    rows = list(csv.DictReader(StringIO(text)))
    assert [row["code"] for row in rows] == batch["codes"]
    assert {(row["offer"], row["state"], row["percent"], row["partner"]) for row in rows} == {
        ("20 % off every payment", "active", "20", "'=Acme")
    }


@pytest.mark.parametrize(
    "change", [{"count": 10_001}, {"count": 0}, {"count": -1}, {"prefix": "a b"}, {"amount": "-1"}]
)
def test_a_batch_that_does_not_fit_makes_nothing(operator, change):
    status, answer = operator.ask(
        "POST", "coupons/generate", {"prefix": "acme", "count": 2, "type": "bonus", "amount": "1", **change}
    )
    assert (status, answer["code"], answer["errors"][0]["field"]) == (400, "invalid_request", next(iter(change)))
    assert (Coupon.objects.count(), CouponBatch.objects.count()) == (0, 0)


# ---------------------------------------------------------------- redeeming


def test_a_service_looks_redeems_and_is_told_what_it_got(service, customer):
    coupon = make_coupon(credit_days=90, ends_at=None)
    status, offer = service.ask("GET", "coupons/validate?code=%20welcome10")
    assert (status, offer) == (
        200,
        {
            "valid": True,
            "code": "WELCOME10",
            "type": "bonus",
            "offer": "$10.00 of bonus credit for 90 days",
            "amount": "10",
            "credit_days": 90,
            "percent": None,
            "applies_to": "",
            "periods": None,
            "tier": "",
            "ends_at": None,
        },
    )
    status, redemption = service.ask("POST", "coupons/redeem", {"code": "welcome10"})
    assert (status, redemption["code"], redemption["credits"], redemption["offer"]) == (
        201,
        "WELCOME10",
        "10",
        "$10.00 of bonus credit for 90 days",
    )
    assert redemption["entry_id"] == str(LedgerEntry.objects.get(account_id=customer.id).id)
    assert redemption["id"] == str(Redemption.objects.get(coupon=coupon).id)
    assert service.ask("GET", "credits/balance")[1]["available"] == "10"


def test_redeeming_with_a_key_twice_gives_once_and_answers_the_same(service, customer):
    make_coupon(max_uses_per_organization=None)
    first = service.send("POST", "coupons/redeem", {"code": "WELCOME10"}, idempotency_key="k")
    again = service.send("POST", "coupons/redeem", {"code": "WELCOME10"}, idempotency_key="k")
    assert (first.status_code, again.content, again["Idempotent-Replayed"]) == (201, first.content, "true")
    status, answer = service.ask("POST", "coupons/redeem", {"code": "OTHER"}, idempotency_key="k")
    assert (status, answer["code"]) == (422, "idempotency_key_reused")
    assert books(customer)[0] == "10"


def test_a_refused_redemption_is_answered_the_same_under_its_key(service, customer):
    first = service.send("POST", "coupons/redeem", {"code": "SUMMER"}, idempotency_key="k")
    make_coupon("SUMMER")
    again = service.send("POST", "coupons/redeem", {"code": "SUMMER"}, idempotency_key="k")
    assert (first.status_code, again.content) == (404, first.content)
    assert books(customer)[0] == "0"


def test_a_second_time_is_a_409(service):
    make_coupon()
    service.ask("POST", "coupons/redeem", {"code": "WELCOME10"})
    for method, path, body in (
        ("POST", "coupons/redeem", {"code": "WELCOME10"}),
        ("GET", "coupons/validate?code=welcome10", None),
    ):
        status, answer = service.ask(method, path, body)
        assert (status, answer["code"]) == (409, "coupon_already_redeemed")


# ---------------------------------------------------------------- what a stranger learns


def anonymous(answer):
    """A problem document without what differs between any two requests."""
    document = json.loads(answer.content)
    document.pop("request_id", None)
    return json.dumps(document, sort_keys=True), answer.status_code, answer["Content-Type"], len(answer.content)


def test_looking_and_redeeming_refuse_every_reason_alike(service, customer):
    codes = unredeemable(customer, timezone.now())
    answers = {anonymous(service.send("GET", f"coupons/validate?code={code}")) for code in codes}
    answers |= {anonymous(service.send("POST", "coupons/redeem", {"code": code})) for code in codes}
    [(document, status, content_type, _)] = answers
    assert (status, content_type) == (404, "application/problem+json")
    assert json.loads(document) == {
        "code": "coupon_not_valid",
        "title": "This coupon code cannot be redeemed.",
        "detail": "This coupon code cannot be redeemed.",
        "status": 404,
        "type": "/api/docs/errors/#coupon_not_valid",
    }


def test_an_operators_key_is_told_the_reason(customer):
    operator = Caller(customer)
    for code, why in unredeemable(customer, timezone.now()).items():
        status, answer = operator.ask("GET", f"coupons/validate?code={code}")
        assert (status, answer["code"], answer["reason"], answer["detail"]) == (
            404,
            "coupon_not_valid",
            why.value,
            str(why.label),
        )


@pytest.mark.parametrize("query", ["", "code=", "code=A&code2=B"])
def test_looking_needs_a_code_and_nothing_else(service, query):
    assert service.ask("GET", f"coupons/validate?{query}")[1]["code"] == "invalid_request"


@pytest.mark.parametrize(
    "body", [{}, {"code": ""}, {"code": None}, {"code": ["A"]}, {"code": "x" * 10_001}, {"code": "a\u0000"}]
)
def test_a_body_without_a_code_is_refused_and_moves_nothing(service, customer, body):
    before = books(customer)
    assert service.ask("POST", "coupons/redeem", body)[1]["code"] == "invalid_request"
    assert books(customer) == before


# ---------------------------------------------------------------- guessing


def at_own_address(customer):
    """The count of an address outlives a test."""
    service = Caller(customer, scopes=CUSTOMER)
    service.client.defaults["REMOTE_ADDR"] = f"test-{uuid4()}"
    return service


def test_codes_cannot_be_guessed_at_speed_with_one_key(customer, settings):
    settings.COUPON_ATTEMPTS_PER_MINUTE = 3
    service, other_key = Caller(customer, scopes=CUSTOMER), Caller(customer, scopes=CUSTOMER)
    make_coupon()
    address = f"test-{uuid4()}"
    tries = [service.client.get(f"/api/v1/coupons/validate?code=GUESS{n}", REMOTE_ADDR=address) for n in range(4)]
    assert [answer.status_code for answer in tries] == [404, 404, 404, 429]
    assert tries[3].json()["limits"] == ["coupon-key"] and int(tries[3]["Retry-After"]) > 0
    before = books(customer)
    # Redeeming is the same counter, and a right guess is no way around it.
    assert service.ask("POST", "coupons/redeem", {"code": "WELCOME10"})[0] == 429
    assert books(customer) == before
    # Another key of the organization has a count of its own, until the organization's is full.
    again = [other_key.client.get("/api/v1/coupons/validate?code=X", REMOTE_ADDR=address) for _ in range(4)]
    assert [answer.status_code for answer in again] == [404, 404, 404, 429]
    third = Caller(customer, scopes=CUSTOMER)
    answer = third.client.get("/api/v1/coupons/validate?code=X", REMOTE_ADDR=f"test-{uuid4()}")
    assert answer.json()["limits"] == ["coupon-organization"]


def test_many_organizations_at_one_address_share_its_count(settings):
    settings.COUPON_ATTEMPTS_PER_MINUTE = 2
    address = f"test-{uuid4()}"
    answers = [
        Caller(make_customer(), scopes=CUSTOMER).client.get("/api/v1/coupons/validate?code=XYZ", REMOTE_ADDR=address)
        for _ in range(7)
    ]
    assert [answer.status_code for answer in answers] == [404] * 6 + [429]
    assert answers[6].json()["limits"] == ["coupon-address"]


def test_a_day_has_a_limit_too(customer, settings):
    settings.COUPON_ATTEMPTS_PER_DAY = 2
    service = at_own_address(customer)
    assert [service.ask("GET", "coupons/validate?code=XYZ")[0] for _ in range(3)] == [404, 404, 429]


def test_an_answer_that_is_replayed_is_no_attempt(customer, settings):
    settings.COUPON_ATTEMPTS_PER_MINUTE = 1
    service = at_own_address(customer)
    asked = [service.ask("POST", "coupons/redeem", {"code": "XYZ"}, idempotency_key="k")[0] for _ in range(3)]
    assert asked == [404, 404, 404]


def test_operators_are_not_counted(customer, settings):
    settings.COUPON_ATTEMPTS_PER_MINUTE = 1
    operator = Caller(customer)
    assert [operator.ask("GET", "coupons/validate?code=XYZ")[0] for _ in range(3)] == [404] * 3


def test_while_the_counters_are_away_no_code_is_tried(service, customer, settings):
    make_coupon()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    before = books(customer)
    for status, answer in (
        service.ask("POST", "coupons/redeem", {"code": "WELCOME10"}),
        service.ask("GET", "coupons/validate?code=A"),
    ):
        assert (status, answer["code"]) == (503, "unavailable")
    assert books(customer) == before


# ---------------------------------------------------------------- listing and ending


def test_the_list_is_filtered_newest_first_and_of_the_keys_own_books(operator, customer):
    make_coupon("OLD", at=NOON.replace(year=2025), partner="Acme")
    make_coupon("NEWER", kind="percent", percent="5", applies_to="any")
    make_coupon("SPENT", max_uses=1, at=NOON.replace(day=1))
    make_coupon("TESTING", mode="test")
    redeem(make_organization(), "SPENT")

    def codes(query=""):
        return [coupon["code"] for coupon in operator.ask("GET", f"coupons/list{query}")[1]["data"]]

    assert codes() == ["NEWER", "SPENT", "OLD"]
    assert codes("?type=percent") == ["NEWER"]
    assert codes("?state=exhausted") == ["SPENT"] and codes("?state=active") == ["NEWER", "OLD"]
    assert codes("?partner=acme") == ["OLD"] and codes("?search=ne") == ["NEWER"]
    assert codes(f"?batch={uuid4()}") == []
    page = operator.ask("GET", "coupons/list?limit=2")[1]
    assert len(page["data"]) == 2 and page["next"]
    assert operator.ask("GET", "coupons/list?state=lost")[0] == 400
    assert [each["code"] for each in Caller(customer.test_twin).ask("GET", "coupons/list")[1]["data"]] == ["TESTING"]


def test_every_state_filter_agrees_with_the_state_shown(operator):
    from datetime import timedelta

    from coupons.models import State
    from coupons.services import deactivate_coupon
    from tests.coupons.making import ACTOR

    now, day = timezone.now(), timedelta(days=1)
    at = now - 9 * day
    dates = [
        (None, None),
        (now - day, None),
        (None, now - day),
        (now - 2 * day, now - day),
        (now + day, None),
        (None, now + day),
    ]
    number = 0
    for starts_at, ends_at in dates:
        for max_uses in (None, 1, 2):
            for ended in (False, True):
                number += 1
                made = make_coupon(f"C-{number}", at=at, starts_at=starts_at, ends_at=ends_at, max_uses=max_uses)
                Coupon.objects.filter(pk=made.pk).update(uses=1)
                if ended:
                    deactivate_coupon(coupon_id=made.id, reason="r", actor=ACTOR, at=now)
    counts = {}
    for state in State.values:
        found = operator.ask("GET", f"coupons/list?state={state}&limit=200")[1]["data"]
        assert {coupon["state"] for coupon in found} == {state}
        counts[state] = len(found)
    assert sum(counts.values()) == number and min(counts.values()) > 0


def test_the_list_costs_the_same_for_one_and_for_many(operator, django_assert_num_queries):
    create_tier(at=NOON, slug="pro", name="Professional")
    make_coupon("T-1", kind="tier", tier_slug="pro", periods=1)
    operator.ask("GET", "coupons/list")
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as one:
        operator.ask("GET", "coupons/list")
    for number in range(2, 20):
        make_coupon(f"T-{number}", kind="tier", tier_slug="pro", periods=1)
    with django_assert_num_queries(len(one)):
        answer = operator.ask("GET", "coupons/list")[1]
    assert {coupon["offer"] for coupon in answer["data"]} == {"Professional for 1 month"}


def test_a_deleted_coupon_is_over_and_its_history_stays(operator, service, customer):
    make_coupon(max_uses_per_organization=None)
    service.ask("POST", "coupons/redeem", {"code": "WELCOME10"})
    assert operator.ask("DELETE", "coupons/welcome10") == (204, None)
    assert operator.ask("DELETE", "coupons/WELCOME10") == (204, None)
    assert service.ask("POST", "coupons/redeem", {"code": "WELCOME10"})[1]["code"] == "coupon_not_valid"
    assert (Coupon.objects.get().uses, Redemption.objects.count(), books(customer)[0]) == (1, 1, "10")
    event = DomainEvent.objects.get(type="coupon.deactivated")
    assert "api key" in event.actor_label and event.data["reason"]


@pytest.mark.parametrize("code", ["NOSUCHCODE", "a%20b", "%F0%9F%8E%81", "x" * 500])
def test_a_coupon_that_does_not_exist_cannot_be_deleted(operator, code):
    assert operator.ask("DELETE", f"coupons/{code}")[1]["code"] == "unknown_coupon"


def test_a_test_key_reaches_no_live_coupon(customer):
    make_coupon()
    tester = Caller(customer.test_twin)
    assert tester.ask("DELETE", "coupons/WELCOME10")[0] == 404
    assert tester.ask("POST", "coupons/redeem", {"code": "WELCOME10"})[1]["reason"] == "unknown"
    assert tester.ask("POST", "coupons/create", BONUS)[1]["mode"] == "test"
    assert tester.ask("POST", "coupons/redeem", {"code": "WELCOME10"})[0] == 201
    assert set(Coupon.objects.values_list("mode", "uses")) == {("live", 0), ("test", 1)}
    assert books(customer)[0] == "0" and usd(books(customer.test_twin)[0]) == 10


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "coupons/redeem", "credits:write"),
        ("GET", "coupons/validate?code=A", "credits:read"),
        ("POST", "coupons/create", "admin"),
        ("POST", "coupons/generate", "admin"),
        ("GET", "coupons/list", "admin"),
        ("GET", "coupons/export.csv", "admin"),
        ("DELETE", "coupons/WELCOME10", "admin"),
    ],
)
def test_each_path_needs_its_scope(customer, method, path, scope):
    make_coupon()
    others = {"gateway", "usage:read", "usage:write", "credits:read", "credits:write"} - {scope}
    status, answer = Caller(customer, scopes=tuple(others)).ask(method, path, {"code": "WELCOME10"})
    assert (status, answer["code"], answer["required_scope"]) == (403, "insufficient_scope", scope)
    assert (Coupon.objects.get().uses, Coupon.objects.get().deactivated_at) == (0, None)

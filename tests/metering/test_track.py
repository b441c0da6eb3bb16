"""``POST metering/track``: what is reported is priced, charged and recorded exactly once."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from core.ids import uuid7
from credits.models import Hold
from credits.services import HoldRequest, place_hold
from metering.ingest import pricing
from metering.models import UsageEvent
from metering.records import hash_of
from tests.builders import make_customer, make_user, usd
from tests.metering.reporting import Reporter, make_model, make_reporter
from tests.metering.tracking import CHAT, balance, only_event, refused

pytestmark = pytest.mark.django_db


def test_tokens_of_a_known_model_cost_its_price_plus_the_markup():
    organization = make_reporter()
    price = make_model()
    status, body = Reporter(organization).track({"external_id": "call-1", **CHAT})
    # 1000 × 0.000001 + 500 × 0.000002 = 0.002, and 10 % of it
    assert status == 201
    assert body == {
        "status": "recorded",
        "event_id": str(only_event().id),
        "external_id": "call-1",
        "cost": "0.002",
        "markup": "0.0002",
        "charge": "0.0022",
        "cost_source": "computed",
        "available": "9.9978",
    }
    event = only_event()
    assert (event.provider_cost, event.markup, event.charge) == (usd("0.002"), usd("0.0002"), usd("0.0022"))
    assert (event.price_id, event.cost_source, event.source) == (price.id, "computed", "api")
    assert event.derivation["computed"]["lines"] == [["prompt", 1000, "0.000001"], ["completion", 500, "0.000002"]]
    assert balance(organization) == usd("9.9978")


def test_the_callers_cost_is_charged_with_the_markup():
    organization = make_reporter()
    status, body = Reporter(organization).track({"kind": "search", "cost": "0.005"})
    assert (status, body["cost"], body["charge"], body["cost_source"]) == (201, "0.005", "0.0055", "caller")


def test_the_callers_cost_wins_over_the_price_list():
    organization = make_reporter()
    make_model()
    _, body = Reporter(organization).track({**CHAT, "cost": 0.003})
    assert (body["cost"], body["charge"], only_event().price_id) == ("0.003", "0.0033", None)


def test_a_json_number_is_taken_digit_by_digit():
    organization = make_reporter()
    secret = Reporter(organization)
    response = secret.client.generic(
        "POST", "/api/v1/metering/track", b'{"name":"x","cost":0.100000000001}', content_type="application/json"
    )
    assert response.status_code == 201
    assert only_event().provider_cost == usd("0.100000000001")


def test_an_event_with_neither_model_nor_cost_costs_nothing():
    organization = make_reporter("0")
    status, body = Reporter(organization).track({"name": "page rendered", "quantity": "3"})
    assert (status, body["charge"], body["cost_source"], body["available"]) == (201, "0", "none", None)
    assert (only_event().quantity, only_event().derivation) == (3, {})


def test_tokens_of_an_unknown_model_are_never_free():
    reporter = Reporter(make_reporter())
    assert (
        "vendor/unknown"
        in refused(
            reporter.track({"model": "vendor/unknown", "kind": "chat", "prompt_tokens": 1}), 422, "unknown_model"
        )["detail"]
    )
    refused(reporter.track({"kind": "chat", "completion_tokens": 1}), 422, "unknown_model")
    refused(reporter.track({"kind": "tts", "model": "vendor/unknown", "characters": 9}), 422, "unknown_model")


def test_an_unknown_model_with_a_cost_is_charged_that():
    _, body = Reporter(make_reporter()).track({"kind": "chat", "model": "mine/own", "prompt_tokens": 9, "cost": "1"})
    assert body["charge"] == "1.1"


def test_usage_that_the_price_list_does_not_cover_is_refused():
    make_model()
    body = refused(Reporter(make_reporter()).track({**CHAT, "searches": 2}), 422, "unpriced_usage")
    assert body["unpriced"] == ["web_search"]


def test_a_price_that_depends_on_the_route_is_refused():
    make_model("vendor/auto", prompt="-1", completion="-1")
    refused(Reporter(make_reporter()).track({**CHAT, "model": "vendor/auto"}), 400, "unpriceable_call")


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        ({"prompt_tokens": 10, "cached_tokens": 4, "cache_write_tokens": 2}, "0.0000068"),
        ({"completion_tokens": 10, "reasoning_tokens": 4}, "0.000024"),
        ({"kind": "tts", "characters": 100}, "0.0015"),
        ({"kind": "tts", "seconds": "2.5"}, "0.00025"),
        ({"kind": "search", "searches": 3}, "0.03"),
        ({"images": 2}, "0.002"),
    ],
)
def test_every_class_of_usage_has_its_price(usage, cost):
    organization = make_reporter(components=())
    classes = {"input_cache_read": "0.0000001", "input_cache_write": "0.0000012", "internal_reasoning": "0.000003"}
    make_model(**classes, character="0.000015", second="0.0001", web_search="0.01", image="0.001")
    _, body = Reporter(organization).track({"kind": "chat", "model": "vendor/model", **usage})
    assert body["charge"] == cost


def test_a_late_event_is_priced_as_of_when_it_happened():
    organization = make_reporter(components=())
    now = timezone.now()
    make_model()
    make_model(start=now - timedelta(days=100), prompt="0.000009")
    reporter = Reporter(organization)
    charges = [
        reporter.track({**CHAT, "occurred_at": (now - timedelta(days=days)).isoformat()})[1]["charge"]
        for days in (101, 99)
    ]
    assert charges == ["0.002", "0.01"]


def test_a_free_model_costs_the_free_tiers_fee_alone():
    fee = {"type": "per_1k_tokens", "amount": "0.001", "applies_to": "free"}
    organization = make_reporter(components=[fee, {"type": "percentage", "percent": "10", "applies_to": "paid"}])
    make_model("vendor/free:free", is_free=True, prompt="0", completion="0")
    _, body = Reporter(organization).track({**CHAT, "model": "vendor/free:free"})
    assert (body["cost"], body["charge"], only_event().is_free) == ("0", "0.0015", True)


def test_usage_with_the_customers_own_key_costs_nothing_and_is_kept_apart():
    organization = make_reporter("0", byok_allowed=True)
    make_model()
    _, body = Reporter(organization).track({**CHAT, "is_byok": True})
    event = only_event()
    assert (body["charge"], event.byok_cost, event.provider_cost, event.is_byok) == ("0", usd("0.002"), 0, True)


def test_own_keys_need_a_tier_that_includes_them():
    make_model()
    refused(Reporter(make_reporter()).track({**CHAT, "is_byok": True}), 403, "byok_not_allowed")


def test_out_of_credit_is_refused_with_what_is_needed_and_leaves_no_trace():
    organization = make_reporter("1")
    body = refused(
        Reporter(organization).track({"external_id": "a", "name": "x", "cost": "2"}), 402, "insufficient_credits"
    )
    assert (body["required"], body["available"], balance(organization)) == ("2.2", "1", usd("1"))


def test_a_keys_own_spend_limit_holds_for_reported_usage():
    organization = make_reporter("10")
    reporter = Reporter(organization, spend_limit=usd("1"))
    assert reporter.track({"name": "x", "cost": "0.9"})[0] == 201
    status, body = reporter.track({"name": "x", "cost": "0.9"})
    assert (status, body["code"], UsageEvent.objects.count()) == (402, "spend_limit_reached", 1)


def test_the_same_event_again_is_answered_with_the_first():
    organization = make_reporter()
    reporter = Reporter(organization)
    event = {"external_id": "a", "name": "x", "cost": "1", "metadata": {"b": 1, "a": 2}}
    _, first = reporter.track(event)
    status, again = reporter.track(dict(reversed(event.items())) | {"metadata": {"a": 2, "b": 1}})
    assert (status, again) == (200, {**first, "status": "duplicate", "available": None})
    assert (UsageEvent.objects.count(), balance(organization)) == (1, usd("8.9"))


def test_the_same_event_in_another_form_is_the_same(monkeypatch):
    """Also one that was recorded when ids stood for how an event was written."""
    reporter = Reporter(make_reporter())
    event = {"external_id": "a", "name": "x", "cost": "0.5", "quantity": 3, "occurred_at": "2026-01-01T00:30:00Z"}
    forms = [
        {**event, "cost": "0.50", "quantity": "3.000", "occurred_at": "2026-01-01T01:30:00+01:00"},
        {**event, "cost": "5E-1", "occurred_at": "2025-12-31T23:30:00-01:00"},
    ]
    assert reporter.track(event)[0] == 201
    assert [reporter.track(form)[0] for form in forms] == [200, 200]
    with monkeypatch.context() as before:
        before.setattr(pricing, "_hashes", lambda event: (hash_of(event), None))
        assert reporter.track({**forms[0], "external_id": "old"})[0] == 201
    assert reporter.track({**forms[0], "external_id": "old"})[0] == 200
    assert reporter.track({**forms[0], "external_id": "old", "cost": "0.60"})[0] == 422
    assert UsageEvent.objects.count() == 2


def test_another_event_under_a_used_id_is_refused():
    organization = make_reporter()
    reporter = Reporter(organization)
    _, first = reporter.track({"external_id": "a", "name": "x", "cost": "1"})
    status, body = reporter.track({"external_id": "a", "name": "x", "cost": "2"})
    assert (status, body["code"], body["event_id"]) == (422, "idempotency_key_reused", first["event_id"])
    assert balance(organization) == usd("8.9")


def test_an_idempotency_key_answers_the_same_request_the_same():
    organization = make_reporter()
    reporter = Reporter(organization)
    first = reporter.send("POST", "metering/track", {"name": "x", "cost": "1"}, idempotency_key="k")
    again = reporter.send("POST", "metering/track", {"name": "x", "cost": "1"}, idempotency_key="k")
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["Idempotent-Replayed"] == "true"
    status, body = reporter.track({"name": "x", "cost": "2"}, idempotency_key="k")
    assert (status, body["code"]) == (422, "idempotency_key_reused")
    assert (UsageEvent.objects.count(), balance(organization)) == (1, usd("8.9"))


def test_a_hold_is_settled_by_the_event_it_was_placed_for():
    organization = make_reporter("10")
    now = timezone.now()
    hold = place_hold(HoldRequest(organization.pk, usd("5"), "k", now + timedelta(minutes=5)), at=now)
    _, body = Reporter(organization).track({"name": "x", "cost": "2", "hold_id": str(hold.hold_id)})
    assert (body["charge"], body["available"], Hold.objects.get().status) == ("2.2", "7.8", "settled")


def test_somebody_elses_hold_does_not_exist():
    owner, now = make_reporter("10"), timezone.now()
    hold = place_hold(HoldRequest(owner.pk, usd("5"), "k", now + timedelta(minutes=5)), at=now)
    reporter = Reporter(make_reporter("10"))
    refused(reporter.track({"name": "x", "cost": "2", "hold_id": str(hold.hold_id)}), 404, "unknown_hold")
    assert Hold.objects.get().status == "open"


def test_the_event_is_put_down_to_its_key_and_member():
    person = make_user()
    organization = make_customer(owner=person)
    from tests.openrouter.tiering import put_on_tier

    put_on_tier(organization)
    member = organization.memberships.get()
    reporter = Reporter(organization)
    assert reporter.track({"name": "x", "member_id": str(member.id)})[0] == 201
    assert (only_event().member_id, only_event().api_key_id) == (member.id, reporter.key.id)


def test_a_member_of_somebody_else_is_refused():
    make_customer(owner=make_user())
    body = refused(Reporter(make_reporter()).track({"name": "x", "member_id": str(uuid7())}), 400, "invalid_request")
    assert "no such member" in body["detail"]


def test_a_test_key_moves_the_twins_books_only():
    organization = make_reporter("10")
    reporter = Reporter(organization.test_twin)
    status, body = reporter.track({"name": "x", "cost": "1"})
    assert (status, body["code"], balance(organization)) == (402, "insufficient_credits", usd("10"))


def test_reporting_needs_its_scope():
    reporter = Reporter(make_reporter(), scopes=("usage:read", "gateway"))
    body = refused(reporter.track({"name": "x"}), 403, "insufficient_scope")
    assert body["required_scope"] == "usage:write"


def test_an_external_id_may_be_given_in_short():
    reporter = Reporter(make_reporter())
    status, first = reporter.track({"id": "a", "name": "x"})
    assert (status, first["external_id"]) == (201, "a")
    status, again = reporter.track({"external_id": "a", "name": "x"})
    assert (status, again["status"], again["event_id"]) == (200, "duplicate", first["event_id"])
    assert reporter.track({"id": "b", "external_id": "b", "name": "x"})[0] == 400


def test_the_smallest_price_does_not_round_to_zero():
    organization = make_reporter(components=())
    make_model(prompt="0.000000000001", completion="0")
    _, body = Reporter(organization).track({"kind": "chat", "model": "vendor/model", "prompt_tokens": 1})
    assert (body["charge"], balance(organization)) == ("0.000000000001", Decimal("9.999999999999"))


@pytest.mark.parametrize("kind", ["tts", "chat"])
def test_a_priced_model_is_never_tracked_for_nothing_by_a_bare_quantity(kind):
    make_model()
    report = {"kind": kind, "model": "vendor/model", "quantity": "120"}
    assert "quantity" in refused(Reporter(make_reporter()).track(report), 422, "unpriced_usage")["detail"]

"""What holds for every path of the wire: tokens, statuses, bodies, pages, isolation."""

import json

import pytest
from django.test import Client
from django.utils import timezone

from accounts.idempotency import claim_key, fingerprint_of
from accounts.ratelimits.windows import Bucket, BucketState, Decision
from billing_api import calls
from billing_api.documents import document
from billing_api.endpoints import ENDPOINTS
from billing_api.wire import decode, encode
from metering.models import UsageEvent
from tests.billing_api.wire import Wire, places, refused
from tests.builders import make_customer, make_key

TOKENS = "organization-access-tokens/"


@pytest.mark.parametrize("secret", [None, "nonsense", "fbx_live_" + "a" * 43])
def test_without_a_valid_token_every_path_is_refused_alike(db, secret):
    for prefix in ("/v1/", "/sandbox/v1/"):
        answer = Wire(secret, prefix).get(TOKENS)
        assert isinstance(refused(answer, 401, "Unauthorized"), str) and answer["WWW-Authenticate"] == "Bearer"


def test_another_scheme_is_no_token(merchant):
    headers = {"authorization": f"Basic {make_key(merchant)[1]}"}
    refused(Client().get(f"/v1/{TOKENS}", headers=headers), 401, "Unauthorized", "Invalid token")


def test_a_path_is_served_as_it_is_listed_and_no_other(wire):
    assert wire.get(TOKENS).status_code == 200
    for other in (TOKENS.rstrip("/"), f"{TOKENS}/", "nothing", ""):
        refused(wire.get(other), 404, "ResourceNotFound", "Not found")
    answer = wire.send("PUT", TOKENS, {})
    refused(answer, 405, "MethodNotAllowed")
    assert answer["Allow"] == "GET, POST"


def test_ids_of_another_form_are_refused_at_their_place(wire):
    assert places(wire.send("DELETE", f"{TOKENS}nonsense")) == [["path", "id"]]
    refused(wire.send("DELETE", f"{TOKENS}0191f6f0-0000-7000-8000-000000000000"), 404, "ResourceNotFound", "Not found")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{", ["body"]),
        (b"\xff\xfe", ["body"]),
        (b"[" * 100_000, ["body"]),
        (b'{"comment": NaN}', ["body"]),
        (b'{"comment": "a\\u0000", "scopes": ["events:read"]}', ["body"]),
        (b'{"scopes": ["events:read"]}', ["body", "comment"]),
        (b'{"comment": "a", "scopes": ["events:read", 7]}', ["body", "scopes", 1]),
        (b'{"comment": "a", "scopes": ["gateway"]}', ["body", "scopes", 0]),
        (b"7", ["body"]),
    ],
)
def test_a_body_that_does_not_fit_is_answered_with_where_and_why(wire, body, place):
    assert places(wire.post(TOKENS, body)) == [place]


def test_a_body_is_json_and_no_larger_than_the_path_takes(wire):
    refused(
        wire.send("POST", TOKENS, b"a=b", content_type="application/x-www-form-urlencoded"), 415, "UnsupportedMediaType"
    )
    refused(wire.post(TOKENS, b" " * (1024 * 1024 + 1)), 413, "PayloadTooLarge")
    made = {"comment": "a", "scopes": ["events:read"]}
    assert wire.send("POST", TOKENS, made, content_type="application/json; charset=utf-8").status_code == 201


def test_pages_are_counted_from_one_and_hold_a_hundred_at_most(wire, merchant):
    for number in range(11):
        wire.post(TOKENS, {"comment": f"t{number:02}", "scopes": ["events:read"]})
    first, second = wire.get(TOKENS).json(), wire.get(f"{TOKENS}?page=2").json()
    assert first["pagination"] == second["pagination"] == {"total_count": 12, "max_page": 2}
    assert (len(first["items"]), len(second["items"])) == (10, 2)
    assert wire.get(f"{TOKENS}?page=9").json()["items"] == []
    assert len(wire.get(f"{TOKENS}?limit=5000").json()["items"]) == 12
    names = [each["comment"] for each in wire.get(f"{TOKENS}?sorting=-comment&limit=3").json()["items"]]
    assert names == ["test", "t10", "t09"]
    assert places(wire.get(f"{TOKENS}?page=0")) == [["query", "page"]]
    assert places(wire.get(f"{TOKENS}?limit=ten")) == [["query", "limit"]]
    assert places(wire.get(f"{TOKENS}?sorting=digest")) == [["query", "sorting", 0]]
    assert places(wire.get(f"{TOKENS}?organization_id=me")) == [["query", "organization_id", 0]]


def test_an_empty_list_has_no_page(wire):
    nobody = "organization_id=0191f6f0-0000-7000-8000-000000000000"
    assert wire.get(f"{TOKENS}?{nobody}").json() == {"items": [], "pagination": {"total_count": 0, "max_page": 0}}


def test_a_token_does_what_its_scopes_name_and_nothing_else(wire, merchant):
    made = wire.post(TOKENS, {"comment": "reads", "scopes": ["organization_access_tokens:read"]}).json()
    assert made["organization_access_token"]["scopes"] == ["organization_access_tokens:read"]
    reader = Wire(made["token"])
    assert reader.get(TOKENS).status_code == 200
    refused(reader.post(TOKENS, {"comment": "a", "scopes": ["events:write"]}), 403, "InsufficientScope")
    native = Client().get("/api/v1/credits/balance", headers={"authorization": f"Bearer {made['token']}"})
    assert native.status_code == 403


def test_a_token_hands_out_no_more_than_it_has(wire):
    scopes = ["organization_access_tokens:read", "organization_access_tokens:write"]
    keeper = Wire(wire.post(TOKENS, {"comment": "keeper", "scopes": scopes}).json()["token"])
    assert keeper.post(TOKENS, {"comment": "same", "scopes": scopes}).status_code == 201
    refused(keeper.post(TOKENS, {"comment": "more", "scopes": ["events:write"]}), 403, "InsufficientScope")


def test_a_token_is_changed_expires_and_is_revoked(wire):
    body = {"comment": "old", "scopes": ["organization_access_tokens:read"], "expires_in": "PT1H"}
    made = wire.post(TOKENS, body).json()
    path = f"{TOKENS}{made['organization_access_token']['id']}"
    changed = wire.send("PATCH", path, {"comment": "new"}).json()
    assert changed["comment"] == "new" and changed["expires_at"] == made["organization_access_token"]["expires_at"]
    answer = wire.send("DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    refused(Wire(made["token"]).get(TOKENS), 401, "Unauthorized")
    refused(wire.send("DELETE", path), 404, "ResourceNotFound")


def test_the_sandbox_takes_sandbox_tokens_only_and_sees_nothing_of_the_live_organization(merchant, wire):
    live, test = wire, make_key(merchant.test_twin)[1]
    refused(Wire(live.secret, "/sandbox/v1/").get(TOKENS), 401, "Unauthorized")
    for prefix in ("/v1/", "/sandbox/v1/"):
        found = Wire(test, prefix).get(TOKENS).json()["items"]
        assert [each["organization_id"] for each in found] == [str(merchant.test_twin.pk)]
    theirs = live.get(TOKENS).json()["items"][0]["id"]
    refused(Wire(test).send("DELETE", f"{TOKENS}{theirs}"), 404, "ResourceNotFound")
    assert live.get(TOKENS).status_code == 200


def test_a_suspended_organization_is_refused(wire, merchant):
    merchant.is_suspended = True
    merchant.save()
    refused(wire.get(TOKENS), 403, "OrganizationSuspended")


def test_too_many_requests_say_when_to_come_back(wire, monkeypatch):
    full = BucketState(Bucket("k", "api", "requests", 1000), remaining=0, retry_ms=2500, reset_ms=60_000, slot=0)
    monkeypatch.setattr(calls, "take", lambda buckets: Decision(admitted=False, states=(full,)))
    answer = wire.get(TOKENS)
    refused(answer, 429, "RateLimited")
    assert answer["Retry-After"] == "3"


def test_a_request_under_a_key_is_carried_out_once_and_answered_alike(wire, merchant):
    def send(path, body, key="k1", to=wire):
        return to.send("POST", path, body, headers={"authorization": f"Bearer {to.secret}", "Idempotency-Key": key})

    ada = {"email": "ada@example.com"}
    first, again = send("customers/", ada), send("customers/", ada)
    assert (first.status_code, again.status_code, first.content) == (201, 201, again.content)
    assert again["Idempotent-Replayed"] == "true" and "Idempotent-Replayed" not in first
    assert refused(send("customers/", {"email": "bob@example.com"}), 422, "RequestValidationError")[0]["type"] == (
        "idempotency_key_reused"
    )
    assert send("customers/", ada, "k2").status_code == 422  # refusals are answers, too
    assert send("customers/", ada, "k2")["Idempotent-Replayed"] == "true"
    events = {"events": [{"name": "n", "external_customer_id": "u"}]}  # without ids of their own
    counts = [send("events/ingest", events, "k3").json()["inserted"] for _ in range(2)]
    assert (counts, UsageEvent.objects.filter(organization_id=merchant.pk).count()) == ([1, 1], 1)
    token = {"comment": "c", "scopes": ["events:write"]}
    made = [send("organization-access-tokens/", token, "k4").json()["token"] for _ in range(2)]
    assert made[0] != made[1]  # a secret is kept nowhere
    stranger = Wire(make_key(make_customer())[1])
    assert "Idempotent-Replayed" not in send("customers/", ada, to=stranger)
    refused(send("customers/", ada, "x" * 256), 422, "RequestValidationError")
    claim_key(organization_id=merchant.pk, key="k5", route="", fingerprint=fingerprint(ada), at=timezone.now())
    busy = send("customers/", ada, "k5")
    refused(busy, 409, "StillRunning")
    assert int(busy["Retry-After"]) > 0


def fingerprint(body):
    return fingerprint_of("POST", "/v1/customers/", json.dumps(body).encode())


def test_a_fault_is_a_500_that_says_nothing(wire, monkeypatch):
    def fails(*_args, **_options):
        raise RuntimeError("secret words")

    monkeypatch.setattr(calls, "take", fails)
    answer = wire.get(TOKENS)
    assert refused(answer, 500, "InternalServerError") == "Something went wrong on our side."


def test_no_cookie_counts(wire):
    client = Client(enforce_csrf_checks=True)
    answer = client.generic(
        "POST",
        f"/v1/{TOKENS}",
        json.dumps({"comment": "a", "scopes": ["events:read"]}),
        content_type="application/json",
        headers={"authorization": f"Bearer {wire.secret}"},
    )
    assert answer.status_code == 201


def test_every_endpoint_is_documented_with_an_example_that_it_takes():
    found = document()
    for each in ENDPOINTS:
        operation = found["paths"][f"/v1/{each.path}"][each.method.lower()]
        assert operation["summary"] and str(each.status) in operation["responses"]
        if each.body is not None:
            assert decode(encode(each.example), each.body) is not None
    names = [operation["operationId"] for path in found["paths"].values() for operation in path.values()]
    assert len(set(names)) == len(names)
    assert Client().get("/v1/openapi.json").json()["openapi"] == "3.1.0"


def test_a_host_that_is_not_served_is_told_so_in_json(wire):
    answer = wire.send("GET", TOKENS, SERVER_NAME="elsewhere.example")
    refused(answer, 400, "InvalidRequest")

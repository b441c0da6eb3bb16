"""Whatever goes wrong below /api/ is answered by a problem document that says what, and no more than that."""

import json
from io import BytesIO

import pytest
from django.db import OperationalError
from django.test import Client
from rest_framework.test import APIRequestFactory

from core.parsers import MAX_BODY_BYTES
from core.problems import problem_response
from core.refusals import all_refusals
from tests.api.caller import Caller
from tests.builders import make_customer

pytestmark = pytest.mark.django_db


@pytest.fixture
def caller():
    return Caller(make_customer())


def problem_in(answer) -> dict:
    assert answer["Content-Type"] == "application/problem+json"
    document = json.loads(answer.content)
    assert document["status"] == answer.status_code
    assert document["type"] == f"/api/docs/errors/#{document['code']}"
    assert document["title"] and document["detail"] and document["request_id"]
    return document


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/", "/api/v1/nothing", "/api/v1/credits/nothing/", "/api/v9/credits"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_a_404_in_json(path, method):
    assert problem_in(Client(enforce_csrf_checks=True).generic(method, path))["code"] == "not_found"


@pytest.mark.parametrize("path", ["organization", "organization/"])
def test_a_path_is_served_with_and_without_its_last_slash(caller, path):
    assert caller.send("GET", path).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"nonsense",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"amount": 1' + b"0" * 5000,
    ],
)
def test_a_malformed_body_is_a_400(caller, body):
    answer = caller.client.post("/api/v1/credits/deduct", body, content_type="application/json")
    assert answer.status_code == 400
    problem_in(answer)


@pytest.mark.parametrize("body", [b"[]", b"1", b'"text"', b"null"])
def test_a_body_that_is_no_object_is_a_400(caller, body):
    answer = caller.client.post("/api/v1/credits/deduct", body, content_type="application/json")
    assert problem_in(answer)["code"] == "invalid_request"


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "k"}])
def test_an_oversized_body_is_a_413(caller, headers):
    body = b'{"reason": "' + b"x" * MAX_BODY_BYTES + b'"}'
    answer = caller.client.post("/api/v1/credits/deduct", body, content_type="application/json", headers=headers)
    assert problem_in(answer)["code"] == "payload_too_large"
    assert problem_in(answer)["largest_bytes"] == MAX_BODY_BYTES


def test_a_body_over_the_whole_servers_limit_is_a_413_too(caller, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    headers = {"idempotency-key": "k"}
    answer = caller.send("POST", "credits/deduct", {"amount": "1", "reason": "long enough"}, **headers)
    assert problem_in(answer)["code"] == "payload_too_large"


def send_in_chunks(caller, body, **headers):
    """As a WSGI server hands it on: without a length, the body already unchunked."""
    environ = {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": "", "CONTENT_TYPE": "application/json"}
    headers = {"transfer-encoding": "chunked", **headers}
    return caller.client.generic("POST", "/api/v1/api-keys", headers=headers, **environ)


def test_a_body_in_chunks_is_read_whole(caller):
    answer = send_in_chunks(caller, b'{"name": "Chunked", "scopes": ["gateway"]}')
    assert (answer.status_code, json.loads(answer.content)["name"]) == (201, "Chunked")


def test_a_body_in_chunks_that_is_too_large_is_a_413(caller):
    answer = send_in_chunks(caller, b"x" * (MAX_BODY_BYTES + 1))
    assert problem_in(answer)["code"] == "payload_too_large"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_another_kind_of_body_is_a_415(caller, kind):
    answer = caller.client.post("/api/v1/credits/deduct", b"amount=1", content_type=kind)
    assert problem_in(answer)["code"] == "unsupported_media_type"


def test_an_answer_that_cannot_be_given_is_a_406(caller):
    answer = caller.send("GET", "organization", accept="text/html")
    assert problem_in(answer)["code"] == "not_acceptable"


@pytest.mark.parametrize(
    "query", ["cursor=nonsense", "cursor=%00", "kind=nonsense", "limit=-1", "limit=x", "since=%00"]
)
def test_a_senseless_query_is_never_a_fault(caller, query):
    assert caller.client.get(f"/api/v1/credits/transactions?{query}").status_code in (200, 400, 404)


def test_a_fault_says_nothing_of_its_reason_and_is_logged(caller, monkeypatch):
    logged = []
    monkeypatch.setattr("core.problems.log.error", lambda event, **facts: logged.append((event, facts)))
    monkeypatch.setattr("accounts.services.update_organization", lambda **_: {}["secret reason"])
    caller.client.raise_request_exception = False
    answer = caller.send("PATCH", "organization", {"name": "x"})
    assert (answer.status_code, problem_in(answer)["code"]) == (500, "internal_error")
    assert b"secret reason" not in answer.content
    [(event, facts)] = logged
    assert event == "api.unexpected" and "secret reason" in str(facts["exc_info"])


def test_a_database_that_is_away_is_a_503_to_come_back_to(caller, monkeypatch):
    def away(**_):
        raise OperationalError("connection to 10.0.0.5 refused")

    monkeypatch.setattr("accounts.services.update_organization", away)
    answer = caller.send("PATCH", "organization", {"name": "x"})
    assert (answer.status_code, problem_in(answer)["code"]) == (503, "unavailable")
    assert answer["Retry-After"] == "5" and b"10.0.0.5" not in answer.content


def test_text_that_no_column_can_hold_is_a_400(caller):
    answer = caller.send("PATCH", "organization", {"name": "a\x00b"})
    assert problem_in(answer)["code"] == "invalid_request"


def test_every_field_that_does_not_fit_is_named(caller):
    answer = caller.send("POST", "api-keys", {"name": "", "scopes": ["gateway", "x"], "colour": 1})
    fields = {error["field"] for error in problem_in(answer)["errors"]}
    assert "colour" in fields or {"name", "scopes.1"} <= fields


def test_a_refusal_outside_a_view_is_answered_alike():
    request = APIRequestFactory().get("/")
    for error in all_refusals():
        answer = problem_response(error(), {"request": request})
        assert (answer.status_code, answer.data["code"]) == (error.status, error.code)


def test_every_code_of_a_refusal_is_explained():
    page = Client().get("/api/docs/errors/").content.decode()
    assert all(f'id="{error.code}"' in page for error in all_refusals())


def test_a_wrong_host_is_refused_in_json_below_the_api(caller, settings):
    settings.ALLOWED_HOSTS = ["credits.example.com"]
    answer = caller.send("GET", "organization")
    assert (answer.status_code, json.loads(answer.content)["code"]) == (400, "invalid_request")

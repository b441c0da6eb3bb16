"""The ledger's REST API: exact answers, clear refusals that move nothing, one organization's eyes only."""

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal
from urllib.parse import unquote
from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import IdempotencyRecord
from accounts.principal import Actor
from accounts.scopes import ALL_SCOPES
from accounts.services.keys import KeyTerms, create_api_key
from credits import services
from credits.models import CreditAccount, Hold, LedgerEntry
from tests.builders import NOON, make_funded, make_organization

pytestmark = pytest.mark.django_db(transaction=True)


class Caller:
    """An API client of one organization."""

    def __init__(self, organization, scopes=ALL_SCOPES):
        terms = KeyTerms(scopes=tuple(sorted(scopes)))
        _, secret = create_api_key(organization=organization, name="test", terms=terms, actor=Actor("test"), at=NOON)
        self.client = Client(headers={"authorization": f"Bearer {secret}"})

    def get(self, path, **query):
        return self._read(self.client.get(f"/api/v1/credits/{path}", query))

    def post(self, path, body=None, key=None):
        headers = {"idempotency-key": key} if key else {}
        text = body if isinstance(body, str) else json.dumps(body or {})
        return self._read(
            self.client.post(f"/api/v1/credits/{path}", text, content_type="application/json", headers=headers)
        )

    @staticmethod
    def _read(response):
        content = response.getvalue() if response.streaming else response.content
        is_json = "json" in response["Content-Type"]
        return response.status_code, json.loads(content, parse_float=Decimal) if is_json else content.decode()


@pytest.fixture
def organization():
    return make_funded("10")


@pytest.fixture
def caller(organization):
    return Caller(organization)


def test_the_balance_has_strings_only(caller, organization):
    status, body = caller.get("balance")
    assert status == 200
    assert {name: body[name] for name in ("balance", "held", "available", "pending", "overage", "currency")} == {
        "balance": "10",
        "held": "0",
        "available": "10",
        "pending": "0",
        "overage": "0",
        "currency": "USD",
    }
    assert body["organization_id"] == str(organization.pk)


def test_the_balance_at_a_past_instant(caller):
    assert caller.get("balance", at="2026-03-02T11:59:59Z")[1]["balance"] == "0"
    assert caller.get("balance", at="2026-03-02T12:00:00Z")[1]["balance"] == "10"
    status, problem = caller.get("balance", at="yesterday")
    assert (status, problem["code"]) == (400, "invalid_request")


def test_allocate_deduct_refund_and_read_it_back(caller):
    assert caller.post("allocate", {"amount": "5.000000000001", "reason": "goodwill"})[0] == 201
    status, deducted = caller.post("deduct", {"amount": "2.5", "reason": "job 7"})
    assert (status, deducted["balance"]) == (201, "12.500000000001")
    status, refunded = caller.post("refund", {"entry_id": deducted["entry_id"], "amount": "1", "reason": "half done"})
    assert (status, refunded["balance"]) == (201, "13.500000000001")
    rows = caller.get("transactions")[1]["data"]
    assert [(row["number"], row["kind"], row["amount"], row["balance_after"]) for row in rows] == [
        (4, "refund", "1", "13.500000000001"),
        (3, "deduction", "-2.5", "12.500000000001"),
        (2, "grant", "5.000000000001", "15.000000000001"),
        (1, "grant", "10", "10"),
    ]
    assert caller.get(f"transactions/{deducted['entry_id']}")[1]["reason"] == "job 7"


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("0", "not_positive"),
        ("-1", "not_positive"),
        ("1.0000000000001", "invalid_amount"),
        ("NaN", "invalid_amount"),
        ("Infinity", "invalid_amount"),
        ("1000000000000", "invalid_amount"),
        ("ten", "invalid_amount"),
        ("1_0", "invalid_amount"),
        ("1e999999999", "invalid_amount"),
        (True, "invalid_amount"),
        ([1], "invalid_amount"),
        (None, "null"),
    ],
)
def test_a_bad_amount_is_refused_with_its_field_and_moves_nothing(caller, amount, code):
    status, problem = caller.post("deduct", {"amount": amount, "reason": "x"})
    assert (status, problem["code"]) == (400, "invalid_request")
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [("amount", code)]
    assert LedgerEntry.objects.count() == 1


def test_a_json_number_is_taken_exactly_and_never_as_a_float(caller):
    assert caller.post("deduct", '{"amount": 0.100000000001, "reason": "x"}')[1]["balance"] == "9.899999999999"


@pytest.mark.parametrize(
    "body",
    [
        '{"amount": NaN, "reason": "x"}',
        '{"amount": 1e400, "reason": "x"}',
        '{"amount": 1e999999999, "reason": "x"}',
        '{"amount": "1", "reason": "x", "allow_overage": "\\ud800"}',
        "{",
        "[]",
        '"x"',
        "[" * 5000,
        '{"amount": "1"}',
        '{"amount": "1", "reason": "x", "amuont": "2"}',
    ],
)
def test_malformed_bodies_are_refused_and_move_nothing(caller, body):
    status, problem = caller.post("deduct", body)
    assert status == 400
    assert problem["code"] in ("malformed_json", "invalid_request")
    assert LedgerEntry.objects.count() == 1


@pytest.mark.parametrize("entry_id", [True, 0, 9223372036854775808, "0", [], None])
def test_an_id_is_text(caller, entry_id):
    status, problem = caller.post("refund", {"entry_id": entry_id, "reason": "x"})
    assert (status, [error["field"] for error in problem["errors"]]) == (400, ["entry_id"])


def test_a_deduction_that_is_not_covered_is_a_402_with_the_figures(caller):
    status, problem = caller.post("deduct", {"amount": "10.000000000001", "reason": "x"})
    assert (status, problem["code"]) == (402, "insufficient_credits")
    assert (problem["required"], problem["available"]) == ("10.000000000001", "10")
    assert LedgerEntry.objects.count() == 1


def test_a_hold_is_placed_settled_and_read(caller):
    status, hold = caller.post("holds", {"amount": "4", "key": "call-1"})
    assert (status, hold["status"], hold["amount"], hold["key"]) == (201, "open", "4", "call-1")
    assert (hold["balance"], hold["held"], hold["available"]) == ("10", "4", "6")
    status, settled = caller.post(f"holds/{hold['id']}/settle", {"amount": "1.5"})
    assert (status, settled["status"], settled["settled_amount"]) == (200, "settled", "1.5")
    assert (settled["charged"], settled["balance"], settled["held"], settled["available"]) == ("1.5", "8.5", "0", "8.5")
    entry = caller.get(f"transactions/{settled['entry_id']}")[1]
    assert (entry["amount"], entry["hold_id"]) == ("-1.5", hold["id"])
    assert caller.post(f"holds/{hold['id']}/settle", {"amount": "1.5"})[1] == settled
    assert caller.get(f"holds/{hold['id']}")[1]["key"] == "call-1"
    assert caller.get("holds", status="settled")[1]["data"][0]["id"] == hold["id"]
    status, problem = caller.post(f"holds/{hold['id']}/release")
    assert (status, problem["code"]) == (409, "hold_not_open")


def test_a_released_hold_costs_nothing(caller):
    hold = caller.post("holds", {"amount": "4", "key": "call-1"})[1]
    released = caller.post(f"holds/{hold['id']}/release")[1]
    assert (released["status"], released["entry_id"], released["charged"]) == ("released", None, "0")
    assert (released["balance"], released["held"], released["available"]) == ("10", "0", "10")
    assert caller.get("balance")[1]["balance"] == "10"


def test_a_hold_without_a_key_is_placed_once_for_each_idempotency_key(caller):
    first = caller.post("holds", {"amount": "1"}, key="call-1")[1]
    IdempotencyRecord.objects.all().delete()  # its answer is forgotten, or was never stored
    assert caller.post("holds", {"amount": "1"}, key="call-1")[1]["id"] == first["id"]
    assert {caller.post("holds", {"amount": "1"})[0] for _ in range(2)} == {201}
    assert caller.get("balance")[1]["held"] == "3"


def test_the_same_idempotency_key_and_body_get_the_same_answer_and_move_once(caller):
    first = caller.post("deduct", {"amount": "1", "reason": "x"}, key="abc")
    again = caller.post("deduct", {"amount": "1", "reason": "x"}, key="abc")
    assert again == first
    assert caller.get("balance")[1]["balance"] == "9"


@pytest.mark.parametrize("path", ["allocate", "deduct", "holds"])
def test_the_same_idempotency_key_with_another_body_is_a_422_and_moves_nothing(caller, path):
    body = {"amount": "1"} | ({"key": "k"} if path == "holds" else {"reason": "x"})
    assert caller.post(path, body, key="abc")[0] == 201
    before = CreditAccount.objects.values().get()
    status, problem = caller.post(path, body | {"amount": "2"}, key="abc")
    assert (status, problem["code"]) == (422, "idempotency_key_reused")
    assert CreditAccount.objects.values().get() == before


def test_another_organizations_entries_and_holds_do_not_exist(caller):
    hold = caller.post("holds", {"amount": "4", "key": "k"})[1]
    entry = caller.post("deduct", {"amount": "1", "reason": "x"})[1]["entry_id"]
    other = Caller(make_organization())
    assert other.get(f"transactions/{entry}")[0] == 404
    assert other.get(f"holds/{hold['id']}")[0] == 404
    assert other.post(f"holds/{hold['id']}/settle", {"amount": "1"})[0] == 404
    assert other.post(f"holds/{hold['id']}/release")[0] == 404
    assert other.post("refund", {"entry_id": entry, "reason": "x"})[0] == 404
    assert other.get("transactions")[1]["data"] == []
    assert Hold.objects.get().status == "open"


@pytest.mark.parametrize(
    ("path", "body", "scope"),
    [
        ("allocate", {"amount": "1", "reason": "x"}, "admin"),
        ("refund", {"entry_id": str(uuid4()), "reason": "x"}, "admin"),
        ("deduct", {"amount": "1", "reason": "x"}, "credits:write"),
        ("holds", {"amount": "1", "key": "k"}, "credits:write"),
    ],
)
def test_each_movement_needs_its_scope(organization, path, body, scope):
    status, problem = Caller(organization, ALL_SCOPES - {scope} - ({"admin"} if scope != "admin" else set())).post(
        path, body
    )
    assert (status, problem["code"], problem["required_scope"]) == (403, "insufficient_scope", scope)
    assert LedgerEntry.objects.count() == 1


def test_without_a_key_nothing_is_told():
    response = Client().get("/api/v1/credits/balance")
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_transactions_come_in_stable_pages_and_can_be_filtered(caller):
    for number in range(5):
        caller.post("deduct", {"amount": "0.1", "reason": f"job {number}"})
    first = caller.get("transactions", limit=2)[1]
    cursor = first["next"].split("cursor=")[1].split("&")[0]
    caller.post("deduct", {"amount": "0.1", "reason": "meanwhile"})
    second = caller.get("transactions", limit=2, cursor=unquote(cursor))[1]
    assert [row["number"] for row in first["data"] + second["data"]] == [6, 5, 4, 3]
    assert [row["number"] for row in caller.get("transactions", kind="grant")[1]["data"]] == [1]
    assert [row["reason"] for row in caller.get("transactions", search="job 3")[1]["data"]] == ["job 3"]


def test_the_csv_has_every_filtered_entry_and_no_formula(caller):
    caller.post("deduct", {"amount": "0.5", "reason": "=HYPERLINK(1)"})
    status, text = caller.get("transactions/export.csv", kind="deduction")
    [row] = csv.DictReader(io.StringIO(text))
    assert (status, row["amount"], row["reason"]) == (200, "-0.5", "'=HYPERLINK(1)")


def test_the_csv_writes_times_as_the_json_does(caller):
    entry = caller.get("transactions")[1]["data"][0]
    [row] = csv.DictReader(io.StringIO(caller.get("transactions/export.csv")[1]))
    assert (row["posted_at"], row["amount"]) == (entry["posted_at"], entry["amount"]) == ("2026-03-02T12:00:00Z", "10")


def test_lots_show_what_is_left(caller):
    caller.post("allocate", {"amount": "5", "reason": "x", "kind": "purchased", "expires_at": "2099-01-01T00:00:00Z"})
    caller.post("deduct", {"amount": "10", "reason": "x"})
    lots = caller.get("lots", open="true")[1]["data"]
    assert [(lot["kind"], lot["remaining"]) for lot in lots] == [("purchased", "5")]


def test_a_statement_adds_up(caller):
    caller.post("deduct", {"amount": "3.25", "reason": "x"})
    months = caller.get("statements")[1]["data"]
    for month in months:
        moved = sum((Decimal(amount) for amount in month["movements"].values()), Decimal(0))
        assert Decimal(month["opening_balance"]) + moved == Decimal(month["closing_balance"])
    assert months[0]["closing_balance"] == "6.75"
    assert months[-1]["opening_balance"] == "0"


@pytest.mark.parametrize("ending", ["settle", "release"])
def test_a_gateway_calls_hold_can_be_seen_but_not_ended_by_its_customer(caller, organization, ending):
    request = services.HoldRequest(organization.pk, Decimal(4), "call", NOON + timedelta(hours=1), purpose="gateway")
    hold = services.place_hold(request, at=NOON).hold_id
    assert caller.get(f"holds/{hold}")[1]["key"] == "call"
    status, problem = caller.post(f"holds/{hold}/{ending}", {"amount": "0"} if ending == "settle" else None)
    assert (status, problem["code"]) == (404, "unknown_hold")
    assert Hold.objects.get(pk=hold).status == "open"

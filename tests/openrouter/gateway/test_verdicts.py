"""What upstream errors become, and what never gets through."""

import json

import pytest

from openrouter.gateway.verdicts import judge, judge_reported, never_connected, no_answer


def verdict(status, error=None, retry_after="", own_key=False):
    body = b"<html>" if error is None else json.dumps({"error": error, "user_id": "user_2abcDEF123456"}).encode()
    return judge(status, body, retry_after, own_key=own_key)


@pytest.mark.parametrize(
    ("status", "metadata", "shown", "tries", "billed"),
    [
        (400, {}, 400, 1, False),
        (401, {}, 503, 1, False),
        (402, {}, 503, 1, False),
        (403, {}, 403, 1, False),
        (403, {"limit_source": "openrouter_key_limit"}, 503, 1, False),
        (404, {}, 404, 1, False),
        (408, {}, 408, 1, True),
        (418, {}, 400, 1, False),
        (429, {}, 429, 99, False),
        (499, {}, 502, 1, True),
        (500, {}, 500, 2, False),
        (502, {}, 502, 99, False),
        (503, {}, 503, 99, False),
        (504, {}, 504, 1, True),
        (507, {}, 502, 1, True),
        (524, {}, 524, 1, True),
        (529, {}, 529, 99, False),
        (302, {}, 502, 1, False),
    ],
)
def test_the_table(status, metadata, shown, tries, billed):
    found = verdict(status, {"code": status, "message": "reason", "metadata": metadata})
    assert (found.refusal.status, found.tries, found.may_be_billed) == (shown, tries, billed)
    assert ((b"x-should-retry", b"false") in found.refusal.headers) == billed


def test_the_in_flight_budget_is_tried_again_only_when_told_when():
    budget = {"limit_source": "openrouter_in_flight_budget", "reason": "in_flight_budget_exhausted"}
    error = {"message": "x", "metadata": budget}
    assert verdict(402, error, "2").tries == 99
    assert verdict(402, error).tries == 1
    assert verdict(402, {"message": "x", "metadata": {"reason": "weight_exceeds_budget"}}, "2").tries == 1


def test_an_upstream_that_says_it_is_final_is_believed():
    assert verdict(503, {"message": "x", "availability": {"retryable": False}}).tries == 1


def test_keys_account_ids_and_raw_text_never_get_through():
    message = "Key sk-or-v1-0123456789abcdef of user_2abcDEF123456 was refused: Bearer sk-or-v1-fedcba98765"
    metadata = {"provider_name": "Host", "raw": "stack trace sk-live-123456789", "reasons": ["violence", 7]}
    document = verdict(403, {"message": message, "metadata": metadata}).refusal.body().decode()
    for secret in ("0123456789abcdef", "fedcba98765", "2abcDEF123456", "stack trace"):
        assert secret not in document
    assert json.loads(document)["error"]["metadata"]["reasons"] == ["violence"]


def test_our_accounts_trouble_is_not_described_to_the_customer():
    found = verdict(
        402, {"message": "Insufficient credits on account", "metadata": {"limit_source": "openrouter_credits"}}
    )
    assert "nsufficient" not in found.refusal.message
    assert found.alert == "402 openrouter_credits"
    own = verdict(402, {"message": "Insufficient credits", "metadata": {}}, own_key=True)
    assert (own.refusal.status, own.alert) == (403, "")
    assert "Insufficient credits" in own.refusal.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "text"}', b'{"error": {"message": 5}}'])
def test_any_body_gives_a_json_error(body):
    found = judge(502, body, "soon", own_key=False)
    assert json.loads(found.refusal.body())["error"]["message"]
    assert found.retry_after is None


def test_an_error_inside_a_success_is_never_tried_again():
    for error in ({"code": 503, "message": "x"}, {"code": "server_error"}, "text", None):
        found = judge_reported(error, own_key=False)
        assert (found.tries, found.may_be_billed) == (1, True)
        assert found.refusal.status >= 400


def test_an_endless_retry_after_is_cut():
    assert verdict(429, {"message": "x"}, "999999999").retry_after == 3600


def test_connections():
    assert (never_connected().tries, never_connected().may_be_billed) == (99, False)
    assert (no_answer("timeout").refusal.status, no_answer("timeout").may_be_billed) == (504, True)
    assert no_answer("no_answer").refusal.status == 502

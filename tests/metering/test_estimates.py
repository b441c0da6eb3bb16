"""What a call will cost, told before: figures worked by hand, what they rest on, and what is refused."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from accounts.principal import Actor
from accounts.services import add_member
from metering.estimates.content import CODE, DATA, OTHER_SCRIPTS, PROSE, RATIOS, content_class
from metering.estimates.tokens import Prompt
from metering.tokens import Family, count_tokens
from tests.api.caller import Caller
from tests.builders import make_call, make_user, sign_in, usd
from tests.metering.reporting import make_model, make_reporter
from tests.metering.texts import TEXTS

pytestmark = pytest.mark.django_db

TEXT = "The quick brown fox jumps over the lazy dog."  # 10 tokens in o200k
BODY = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": TEXT}], "max_tokens": 100}


@pytest.fixture
def customer():
    make_model("openai/gpt-4o-mini", prompt="0.000001", completion="0.000002")
    return make_reporter("10")


def estimate(customer, body=BODY, query=""):
    status, answer = Caller(customer).ask("POST", f"metering/estimate{query}", body)
    assert status == 200, answer
    return answer


def test_tokens_and_charges_worked_by_hand(customer):
    answer = estimate(customer, query="?expected_tokens=50")
    # 10 tokens of text, 4 around the message, 3 before the answer
    assert answer["prompt_tokens"] | {"worst": 0} == {
        "likely": 17,
        "p95": 34,
        "worst": 0,
        "basis": "vocabulary",
        "vocabulary": "o200k_base",
        "content": "prose",
    }
    assert answer["answer_tokens"] == {"likely": 50, "p95": 50, "worst": 100, "basis": "given"}
    # 17 at 1 and 50 at 2 USD a million, and 10 percent
    likely = answer["cost"]["likely"]
    assert (likely["provider_cost"], likely["markup"], likely["charge"]) == ("0.000117", "0.0000117", "0.0001287")
    assert answer["cost"]["p95"]["charge"] == "0.0001474"
    wallet = answer["wallet"]
    assert (wallet["available"], wallet["after_likely"], wallet["covers_worst_case"]) == ("10", "9.9998713", True)
    assert usd(wallet["after_worst"]) == 10 - usd(answer["cost"]["worst"]["charge"])


def test_nothing_is_charged_or_set_aside(customer):
    estimate(customer)
    account = customer.credit_account
    account.refresh_from_db()
    assert (account.balance, account.held) == (10, 0) and not customer.usage_events.exists()


def test_an_answers_length_is_learned_from_this_customers_own_calls(customer):
    assert estimate(customer, {**BODY, "max_tokens": 5_000})["answer_tokens"]["basis"] == "assumed"
    now = timezone.now()
    for number, tokens in enumerate((100, 100, 100, 200, 250)):
        make_call(customer, completion_tokens=tokens, occurred_at=now - timedelta(hours=number))
    answer = estimate(customer, {**BODY, "max_tokens": 400})["answer_tokens"]
    assert answer == {"likely": 150, "p95": 400, "worst": 400, "basis": "history"}


def test_cheaper_models_that_fit_come_with_their_saving(customer):
    make_model("cheap/one", prompt="0.0000001", completion="0.0000002")
    make_model("cheap/dearer", prompt="0.0000002", completion="0.0000004")
    make_model("dear/one", prompt="0.00001", completion="0.00002")
    make_model("cheap/embedding", prompt="0.00000001", completion="0")
    make_model("gratis/one:free", prompt="0", completion="0", is_free=True)
    answer = estimate(customer, query="?expected_tokens=50")
    assert [each["model"] for each in answer["alternatives"]] == ["gratis/one:free", "cheap/one"]
    free, cheap = answer["alternatives"]
    assert (free["charge"], free["saving"], free["is_free"]) == ("0", "0.0001287", True)
    assert usd(cheap["charge"]) + usd(cheap["saving"]) == usd("0.0001287")


def test_models_outside_the_tier_are_neither_estimated_nor_offered():
    make_model("openai/gpt-4o-mini")
    make_model("gratis/one:free", prompt="0", completion="0", is_free=True)
    customer = make_reporter("10", model_access="list", model_ids=["openai/*"])
    assert estimate(customer)["alternatives"] == []
    status, problem = Caller(customer).ask("POST", "metering/estimate", {**BODY, "model": "gratis/one:free"})
    assert (status, problem["code"]) == (403, "model_not_allowed")


def test_a_wallet_that_cannot_pay_says_how_long_an_answer_it_can(customer):
    poor = make_reporter("0.001")
    answer = estimate(poor, {**BODY, "max_tokens": 100_000})
    wallet = answer["wallet"]
    assert not wallet["covers_worst_case"] and 0 < wallet["affordable_tokens"] < 100_000
    affordable = estimate(poor, {**BODY, "max_tokens": wallet["affordable_tokens"]})
    assert affordable["wallet"]["covers_worst_case"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({**BODY, "model": "no/such"}, 404, "model_not_found"),
        ({**BODY, "model": None}, 400, "invalid_request"),
        ({**BODY, "messages": []}, 400, "invalid_request"),
        ({**BODY, "max_tokens": -1}, 400, "invalid_request"),
        ({**BODY, "preset": "x"}, 400, "unpriceable_call"),
        ([], 400, "invalid_request"),
    ],
)
def test_what_the_gateway_would_refuse_is_refused(customer, body, status, code):
    answer = Caller(customer).ask("POST", "metering/estimate", body)
    assert (answer[0], answer[1]["code"]) == (status, code)


def test_embeddings_and_speech_have_no_answer_in_tokens(customer):
    answer = estimate(customer, {"model": BODY["model"], "input": TEXT}, "?kind=embedding")
    assert answer["answer_tokens"] == {"likely": 0, "p95": 0, "worst": 0, "basis": "none"}
    assert answer["cost"]["likely"]["provider_cost"] == "0.00001"
    spoken = estimate(customer, {"model": BODY["model"], "input": TEXT}, "?kind=speech")
    assert spoken["cost"]["likely"]["lines"][-1]["quantity"] == str(len(TEXT))


def test_who_may_call_may_ask(customer):
    assert Caller(customer, scopes=("gateway",)).ask("POST", "metering/estimate", BODY)[0] == 200
    assert Caller(customer, scopes=("usage:read",)).ask("POST", "metering/estimate", BODY)[0] == 403
    for role, status in (("member", 200), ("viewer", 403), ("billing", 403)):
        person = make_user()
        add_member(organization_id=customer.id, user=person, role=role, actor=Actor("test"), at=timezone.now())
        answer = sign_in(person).post("/api/v1/metering/estimate", BODY, content_type="application/json")
        assert answer.status_code == status, role


# ---------------------------------------------------------------- counting


def samples():
    """Text of each class from the project's own files, and the texts in other scripts."""
    root = Path(__file__).parents[2]
    for pattern in (
        "docs/ledger.md",
        "docs/gateway.md",
        "metering/rating.py",
        "metering/bounds.py",
        "static/js/app.js",
    ):
        text = (root / pattern).read_text(encoding="utf-8")
        yield from (text[start : start + 600] for start in range(0, min(len(text), 9_000) - 600, 600))
    prices = (root / "metering/seed/prices.json").read_text(encoding="utf-8")
    yield from (prices[start : start + 600] for start in range(0, 9_000, 600))
    yield from (text for text, *_ in TEXTS if len(text) > 15 and content_class(text) == OTHER_SCRIPTS)


def test_the_ratio_of_a_class_is_exceeded_at_most_once_in_twenty_times():
    """Each vocabulary we hold, taken for one that we do not: what the stated share promises, measured."""
    base = Family("o200k_base", is_exact=True)
    found = {content: [] for content in (PROSE, CODE, DATA, OTHER_SCRIPTS)}
    for text in samples():
        content = content_class(text)
        stated = -(-count_tokens(base, text) * RATIOS[content].p95 // 100)
        for vocabulary in ("llama3", "qwen3", "deepseek_v3", "mistral_v3", "gemma4"):
            found[content].append(count_tokens(Family(vocabulary, is_exact=True), text) <= stated)
    for content, held in found.items():
        assert len(held) >= 50 and sum(held) >= 0.95 * len(held), (content, sum(held), len(held))


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", PROSE),
        (TEXT, PROSE),
        ("def f(x):\n    return x + 1\n", CODE),
        ('{"a": [1, 2, 3], "b": "c"}', DATA),
        ("敏捷的棕色狐狸跳过了懒狗。", OTHER_SCRIPTS),
    ],
)
def test_the_class_of_a_text(text, content):
    assert content_class(text) == content


def test_a_model_without_a_known_vocabulary_counts_with_a_ratio():
    prompt = Prompt({"prompt": TEXT})
    known, unknown = prompt.tokens_of("openai/gpt-4o-mini"), prompt.tokens_of("anthropic/claude-sonnet-4.5")
    assert (known.likely, known.basis) == (10, "vocabulary")
    assert (unknown.likely, unknown.p95, unknown.basis) == (11, 12, "ratio")


def test_a_very_long_text_is_counted_in_proportion():
    prompt = Prompt({"prompt": "word " * 100_000})
    assert abs(prompt.tokens_of("openai/gpt-4o-mini").likely - 100_000) < 1_000

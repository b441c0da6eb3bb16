"""What a call will cost, told before: figures worked by hand, what they rest on, and what is refused."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.principal import Actor
from accounts.services import add_member
from metering.estimates.calibration import Calibration
from metering.estimates.content import CJK, CODE, DATA, DIGITS, EMOJI, OTHER_SCRIPTS, PROSE, content_class
from metering.estimates.makeup import Prompt
from metering.services import learn_from_usage
from tests.api.caller import Caller
from tests.builders import make_call, make_user, sign_in, usd
from tests.metering.reporting import make_model, make_reporter

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
        "low": 3,
        "likely": 17,
        "p95": 31,
        "worst": 0,
        "basis": "vocabulary",
        "vocabulary": "o200k_base",
        "content": "prose",
        "calls": 0,
    }
    assert answer["answer_tokens"] == {"likely": 50, "p95": 50, "worst": 100, "basis": "given", "calls": 0}
    # 17 at 1 and 50 at 2 USD a million, and 10 percent
    likely = answer["cost"]["likely"]
    assert (likely["provider_cost"], likely["markup"], likely["charge"]) == ("0.000117", "0.0000117", "0.0001287")
    assert answer["cost"]["p95"]["charge"] == "0.0001441"
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
        make_call(customer, completion_tokens=tokens, occurred_at=now - timedelta(hours=number + 1))
    learn_from_usage(at=now)
    answer = estimate(customer, {**BODY, "max_tokens": 400})["answer_tokens"]
    # 100 lies between 97.0 and 106.7: the bin's middle; too few to know what one in twenty exceeds, so thrice the mean
    assert answer == {"likely": 102, "p95": 400, "worst": 400, "basis": "history", "calls": 5}
    stranger = make_reporter("10")
    assert estimate(stranger, {**BODY, "max_tokens": 400})["answer_tokens"]["basis"] == "assumed"
    assert learn_from_usage(at=now) == 0  # nothing is learned twice
    assert estimate(customer, {**BODY, "max_tokens": 400})["answer_tokens"]["calls"] == 5


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
    assert answer["answer_tokens"] == {"likely": 0, "p95": 0, "worst": 0, "basis": "none", "calls": 0}
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


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", PROSE),
        (TEXT, PROSE),
        ("def f(x):\n    return x + 1\n", CODE),
        ('{"a": [1, 2, 3], "b": "c"}', DATA),
        ("敏捷的棕色狐狸跳过了懒狗。", CJK),
        ("Съешь же ещё этих мягких французских булок, да выпей чаю.", OTHER_SCRIPTS),
        ("📌📌📌", EMOJI),
        ("2026112017450012345678 55500012", DIGITS),
    ],
)
def test_the_class_of_a_text(text, content):
    assert content_class(text) == content


def count(data, model):
    calibration = Calibration.of(model)
    return calibration.count(Prompt(data).makeup(calibration.family.vocabulary))


def test_a_model_without_a_known_vocabulary_counts_with_a_ratio():
    known, unknown = count({"prompt": TEXT}, "openai/gpt-4o-mini"), count({"prompt": TEXT}, "vendor/unheard-of")
    assert (known.likely, known.basis) == (10, "vocabulary")
    assert (unknown.likely, unknown.basis) == (10, "ratio")  # 10.3
    long = {"prompt": (TEXT + "\n") * 100}
    known, unknown = count(long, "openai/gpt-4o-mini"), count(long, "vendor/unheard-of")
    assert unknown.likely == round(known.likely * 1.03)
    assert unknown.p95 - unknown.low > 5 * (known.p95 - known.low)


def test_the_classes_of_a_prompt_add_up_to_its_count():
    text = "The total of all is 12345 📌 合計 сумма"
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    makeup = Prompt({"messages": [{"role": "user", "content": text}] * 2, "tools": tools}).makeup("o200k_base")
    alone = Prompt({"prompt": text}).makeup("o200k_base")
    assert alone.total == count({"prompt": text}, "openai/gpt-4o-mini").likely
    assert set(alone.tokens) == {"prose", "digits", "emoji", "cjk", "other-scripts"}
    assert makeup.total == 2 * alone.total + makeup.tokens["definitions"] and makeup.messages == 2


def test_a_very_long_text_is_counted_in_proportion():
    assert abs(count({"prompt": "word " * 100_000}, "openai/gpt-4o-mini").likely - 100_000) < 1_000

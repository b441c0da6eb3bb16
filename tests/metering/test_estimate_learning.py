"""What recorded calls teach: weights that converge, intervals that hold as often as they say, nothing learned twice."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from django.utils import timezone

from accounts.principal import Actor
from accounts.services import add_member
from metering.derivation import derive
from metering.estimates.accuracy import Share, accuracy_of
from metering.estimates.answers import GROWTH, bin_of, length_of
from metering.estimates.calibration import Calibration, row_of
from metering.estimates.content import CLASSES, DEFINITIONS
from metering.estimates.learning import calibration_of
from metering.estimates.makeup import Makeup
from metering.estimates.models import AnswerLength, EstimateAccuracy, TokenCalibration
from metering.models import ModelPrice
from metering.rating import apply_markup
from metering.services import fade_lengths, learn_from_usage, record_usage, void_event
from tests.api.caller import Caller
from tests.builders import make_record, make_user, sign_in, usd
from tests.metering.reporting import make_model, make_reporter

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TRUE = {"prose": 1.21, "code": 1.3, "data": 1.18, "other-scripts": 1.9, "cjk": 0.9, "digits": 2.4, "emoji": 1.5}
PER_MESSAGE, PER_CALL, NOISE = 6, 11, 0.03


def some_makeup(random):
    """A prompt of one to three classes, of very different sizes."""
    names = random.sample([name for name in CLASSES if name != DEFINITIONS], random.randint(1, 3))
    tokens = {name: int(random.lognormvariate(5.5, 1.1)) + 1 for name in names}
    return Makeup("o200k_base", tokens, random.randint(1, 9))


def billed_for(makeup, random, true=TRUE):
    exact = sum(true[name] * count for name, count in makeup.tokens.items())
    return max(round(exact * random.gauss(1, NOISE)) + PER_MESSAGE * makeup.messages + PER_CALL, 1)


def use(calibration, random, calls, true=TRUE, every=10):
    """Estimate and learn, as the job does: by what was known before each batch. How many intervals held, and errors."""
    inside, errors = 0, []
    for number in range(calls):
        makeup = some_makeup(random)
        billed, told = billed_for(makeup, random, true), calibration.count(makeup)
        inside += told.low <= billed <= told.p95
        errors.append(abs(told.likely - billed) / billed)
        calibration.learn(makeup, billed)
        if number % every == every - 1:
            calibration.settle()
    return inside / calls, sum(errors) / calls


def test_what_a_model_bills_is_learned_and_the_interval_holds_as_often_as_it_says():
    calibration, random = Calibration.of("vendor/unheard-of"), Random(11)
    covered_first, error_first = use(calibration, random, 30, every=30)
    assert error_first > 0.12 and covered_first >= 0.8  # an estimate of what is not known yet is wide
    use(calibration, random, 600)
    covered, error = use(calibration, random, 2_000)
    assert abs(covered - 0.9) <= 0.02, covered
    assert error < NOISE  # the mean of |noise| is 0.8 of its deviation
    learned = dict(zip([*CLASSES, "message", "call"], calibration.fit.weights, strict=True))
    for name, weight in TRUE.items():
        assert abs(learned[name] / weight - 1) < 0.03, (name, learned[name])
    assert abs(learned["message"] - PER_MESSAGE) < 1.5


def test_an_interval_is_true_of_errors_that_follow_no_bell_curve():
    calibration, random = Calibration.of("vendor/unheard-of"), Random(5)
    inside = 0
    for number in range(2_500):
        makeup = some_makeup(random)
        skew = random.expovariate(8) if random.random() < 0.3 else 0.0  # now and then something is added unseen
        billed = round(billed_for(makeup, random) * (1 + skew))
        told = calibration.count(makeup)
        inside += number >= 500 and told.low <= billed <= told.p95
        calibration.learn(makeup, billed)
        if number % 10 == 9:
            calibration.settle()
    assert abs(inside / 2_000 - 0.9) <= 0.02


def test_a_changed_vocabulary_is_followed():
    calibration, random = Calibration.of("vendor/unheard-of"), Random(3)
    use(calibration, random, 400)
    dearer = {name: weight * 1.3 for name, weight in TRUE.items()}
    use(calibration, random, 2_500, dearer)
    covered, _ = use(calibration, random, 1_000, dearer)
    assert covered >= 0.88


def test_a_vocabulary_that_is_held_needs_no_teacher():
    calibration, random = Calibration.of("openai/gpt-4o-mini"), Random(1)
    makeup = Makeup("o200k_base", {"prose": 900, "digits": 100}, 2)
    assert calibration.count(makeup).likely == 1_011  # 4 a message and 3 before the answer
    assert calibration.fit.expected(row_of(makeup)) == pytest.approx(1_011)
    exact = dict.fromkeys(CLASSES, 1.0)
    covered, _ = use(calibration, random, 300, exact)
    assert covered >= 0.85


def test_quantiles_of_lengths_are_within_a_bin_of_the_true_ones():
    random = Random(2)
    lengths = sorted(int(random.lognormvariate(5, 1)) + 1 for _ in range(4_000))
    bins = {}
    for length in lengths:
        bins[bin_of(length)] = bins.get(bin_of(length), 0) + 1.0
        assert GROWTH ** (bin_of(length) - 1) < length <= GROWTH ** bin_of(length) * (1 + 1e-9)
    found = length_of(bins, "history")
    assert abs(found.likely / lengths[1_999] - 1) < 0.1
    assert lengths[3_800] <= found.p95 * 1.01 <= 1.12 * lengths[3_800]
    fresh = [int(random.lognormvariate(5, 1)) + 1 for _ in range(4_000)]
    assert abs(sum(length <= found.p95 for length in fresh) / 4_000 - 0.95) <= 0.02


def test_a_share_says_what_few_calls_say():
    few, many = Share(10, 8, 0.9), Share(1_000, 800, 0.9)
    assert few.holds and not many.holds
    assert (round(few.low, 3), round(few.high, 3)) == (0.49, 0.943)  # Wilson's interval, from the textbook formula
    assert Share(0, 0, 0.9).share is None and Share(0, 0, 0.9).holds


# ---------------------------------------------------------------- from the books


def sized(**tokens):
    return {"vocabulary": "o200k_base", "tokens": tokens, "messages": 1, "most": 4_000, "cap": 1_000}


def call(customer, makeup, billed, answer, at):
    """A call of the unknown model, at its price and for nothing."""
    charge = apply_markup(usd("0"), billed + answer, 1, [], is_free=False, is_byok=False)
    price_id = ModelPrice.objects.get(model="vendor/unheard-of").id
    return make_record(
        customer,
        "0",
        kind="chat",
        source="gateway",
        cost_source="provider",
        model="vendor/unheard-of",
        prompt_tokens=billed,
        completion_tokens=answer,
        occurred_at=at,
        price_id=price_id,
        derivation={**derive(charge, source="provider", price_id=price_id), "sized": makeup},
    )


@pytest.fixture
def taught(db):
    """Sixty calls of an unknown model that bills 1.5 tokens for each of ours, and nine; within an hour."""
    make_model("vendor/unheard-of")
    customer, at = make_reporter("10"), timezone.now()
    calls = [
        call(customer, sized(prose=count), count * 3 // 2 + 9, 200, at - timedelta(minutes=60 - number))
        for number, count in enumerate(range(100, 100 + 37 * 60, 37))
    ]
    for number in range(0, 60, 10):
        record_usage(calls[number : number + 10], at=calls[number + 9].occurred_at)
    assert learn_from_usage(at=at, since=at - timedelta(hours=1)) == 60
    return customer, at


def test_calls_in_the_books_teach_and_are_judged_before_they_do(taught):
    customer, at = taught
    calibration = calibration_of("vendor/unheard-of")
    assert calibration.calls == 60 and calibration.basis == "learned"
    told = calibration.count(Makeup("o200k_base", {"prose": 1_000}, 1))
    assert abs(told.likely - 1_509) < 15 and told.low <= 1_509 <= told.p95
    found = accuracy_of(customer.id, at=at).total
    assert found.prompt.measured == found.answer.measured == found.charge.measured == 60
    assert found.beyond_hold == 0 and found.answer.inside >= 50 and found.mean_error > 0.01
    assert accuracy_of(make_reporter("1").id, at=at).models == []
    assert accuracy_of(None, at=at).total.prompt.measured == 60


def test_nothing_is_learned_twice_and_what_is_not_ours_to_learn_from_is_left(taught):
    customer, at = taught
    before = TokenCalibration.objects.get(pk="vendor/unheard-of").sums
    assert learn_from_usage(at=at) == 0 and learn_from_usage(at=at + timedelta(minutes=5)) == 0
    another = {"vocabulary": "gemma4", "tokens": {"prose": 5}, "messages": 1, "most": 9, "cap": 1}
    broken = {"vocabulary": "o200k_base"}
    calls = [call(customer, each, 7, 1, at) for each in (another, broken, sized(prose=10))]
    record_usage([*calls, call(customer.test_twin, sized(prose=10), 7, 1, at)], at=at)
    gone = calls[-1].id
    void_event(organization_id=customer.id, event_id=gone, reason="test", actor="test", at=at + timedelta(minutes=9))
    assert learn_from_usage(at=at + timedelta(hours=1)) == 0
    assert TokenCalibration.objects.get(pk="vendor/unheard-of").sums == before


def test_old_answers_fade_once_a_day(taught):
    customer, at = taught
    own = AnswerLength.objects.get(organization=customer, model="vendor/unheard-of")
    assert (own.bin, own.weight) == (bin_of(200), 60)
    assert fade_lengths(at=at) and not fade_lengths(at=at)
    own.refresh_from_db()
    assert own.weight == pytest.approx(54)


def test_the_estimate_and_its_record_are_told_by_the_api(taught):
    customer, _ = taught
    body = {"model": "vendor/unheard-of", "messages": [{"role": "user", "content": "word " * 1_000}]}
    status, answer = Caller(customer).ask("POST", "metering/estimate", body)
    assert status == 200 and answer["prompt_tokens"]["basis"] == "learned" and answer["prompt_tokens"]["calls"] == 60
    assert answer["answer_tokens"]["basis"] == "history" and answer["answer_tokens"]["calls"] == 60
    status, told = Caller(customer, scopes=("usage:read",)).ask("GET", "metering/estimates/accuracy")
    assert status == 200
    [row] = told["data"]
    assert (row["model"], row["basis"], row["learned_from"]) == ("vendor/unheard-of", "learned", 60)
    assert row["prompt"]["measured"] == 60 and row["prompt"]["stated"] == 0.9
    assert Caller(customer).ask("GET", "metering/estimates/accuracy?days=0")[0] == 400
    nobody = Caller(make_reporter("1"), scopes=("usage:read",)).ask("GET", "metering/estimates/accuracy")[1]
    assert nobody["data"] == [] and nobody["total"]["prompt"]["share"] is None
    assert EstimateAccuracy.objects.values("organization", "model").distinct().count() == 1


def test_pages_show_how_good_estimates_were(taught):
    customer, at = taught
    viewer = make_user()
    add_member(organization_id=customer.id, user=viewer, role="viewer", actor=Actor("test"), at=at)
    page = sign_in(viewer, customer)
    text = page.get("/estimates/").content.decode()
    assert "learned from 60 calls" in text and "stated 90.0 %; of 60 calls" in text
    live = page.get("/estimates/live/?days=7")
    mark = live.content.decode().split("seen=")[1].split("&amp;")[0]
    assert page.get(f"/estimates/live/?days=7&seen={mark}").status_code == 204
    assert "Test calls are not measured" in sign_in(viewer, customer.test_twin).get("/estimates/").content.decode()
    stranger = make_user()
    add_member(organization_id=make_reporter("1").id, user=stranger, role="viewer", actor=Actor("test"), at=at)
    assert "Nothing measured in these days" in sign_in(stranger).get("/estimates/").content.decode()


def test_operators_see_what_was_learned(taught):
    page = sign_in(make_user(is_staff=True, is_superuser=True))
    text = page.get("/admin/metering/tokencalibration/").content.decode()
    assert "vendor/unheard-of" in text and "of 60 prompts inside the interval" in text
    text = page.get("/admin/metering/tokencalibration/vendor_2Funheard-of/change/").content.decode()
    assert "Learned from 60 calls" in text and "each message" in text

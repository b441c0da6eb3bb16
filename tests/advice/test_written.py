"""Advice written by a model: from sums alone, at our cost, once at a time, and never as markup."""

import hashlib
import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.entitlements import NotInTier
from accounts.principal import Actor
from advice import services
from advice.errors import AdviceBeingWritten, AdviceNotConfigured, AdviceTooSoon, NothingToAdviseOn
from advice.models import Recommendation, WrittenAdvice
from advice.written.question import LONGEST_ANSWER, readable_text
from credits.models import LedgerEntry
from credits.services import grant_credits
from metering.models import LanguageModel
from metering.services import record_usage
from openrouter.models import Attempt
from openrouter.services.own_calls import RUNNING, own_calls_running
from sandbox.testing import running_sandbox
from tests.api.caller import Caller
from tests.builders import make_customer, make_record, make_user, sign_in, usd
from tests.concurrency.parallel import run_parallel
from tests.ports import free_port
from tiers.catalogue import MANAGED_CREDITS, load_catalogue
from tiers.models import Subscription, Tier
from tiers.querysets import forget_terms

KEY = "sk-or-v1-advice-inference"
LARGE, SMALL = "openai/gpt-4o", "openai/gpt-4o-mini"
PRIVATE = ("Zanzibar Holdings", "Quetzal", "welcome-xylograph", "acme/undisclosed", "vellichor", "Borogove")
ME = Actor("ada@example.com")


@pytest.fixture(scope="module")
def stand_in():
    with running_sandbox(api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture
def provider(stand_in, settings):
    stand_in.reset()
    settings.OPENROUTER_BASE_URL, settings.OPENROUTER_API_KEY = stand_in.base_url, KEY
    settings.OPENROUTER_SANDBOX_URL = settings.OPENROUTER_SANDBOX_API_KEY = ""
    return stand_in


def put_on(customer, slug):
    Subscription.objects.open().filter(organization=customer).update(tier=Tier.objects.current().get(slug=slug))
    forget_terms()


@pytest.fixture
def customer(db):
    """Usage of yesterday, full of words that are nobody else's business."""
    made = furnished()
    yield made
    forget_terms()


def furnished():
    now = timezone.now()
    load_catalogue(name=MANAGED_CREDITS, at=now - timedelta(days=60))
    for name in (LARGE, SMALL):
        LanguageModel.objects.get_or_create(pk=name, defaults={"name": name})
    customer = make_customer(name=PRIVATE[0], owner=make_user(name=PRIVATE[1]))
    put_on(customer, "enterprise")
    grant_credits(
        organization_id=customer.pk, amount=usd("50"), kind="bonus", reason="t", actor="t", at=now - timedelta(days=3)
    )
    yesterday = now - timedelta(days=1)
    use = {"occurred_at": yesterday, "kind": "chat", "tags": {"prompt_id": PRIVATE[2]}, "metadata": {"n": PRIVATE[4]}}
    tokens = {"prompt_tokens": 1_000, "completion_tokens": 200, "cached_tokens": 100}
    records = [
        make_record(customer, "6", name="", model=LARGE, **use, **tokens),
        make_record(customer, "3", name="", model=LARGE, **use, **tokens),
        make_record(customer, "0.5", name=PRIVATE[5], model=PRIVATE[3], **use),
        make_record(customer, "0.5", name="", model=SMALL, **use),
    ]
    assert {each.status for each in record_usage(records, at=now)} == {"recorded"}
    evidence = {"model": LARGE, "tag": f"prompt_id={PRIVATE[2]}", "events": 2, "prefix": 900, "would_save": "2"}
    evidence |= {"hits": 1, "misses": 1, "prompt_tokens": 2_000, "cached_tokens": 200}
    Recommendation.objects.create(
        organization=customer,
        kind="caching",
        subject=f"{LARGE} prompt_id={PRIVATE[2]}",
        saving=usd("2"),
        confidence="low",
        evidence=evidence,
        found_at=now,
        computed_at=now,
    )
    return customer


def ask(customer, *, at=None):
    return services.ask_for_advice(organization_id=customer.pk, actor=ME, at=at or timezone.now())


def written(customer):
    row = ask(customer)
    assert services.write_advice() == 1
    row.refresh_from_db()
    return row


# ---------------------------------------------------------------- what is sent, what is kept


def test_what_is_sent_are_sums_and_savings_without_a_private_word(customer, provider, monkeypatch):
    sent = []
    monkeypatch.setattr("openrouter.client.transport._encode", lambda body: sent.append(body) or encoded(body))
    row = written(customer)
    [body] = sent
    text = json.dumps(body)
    assert not [word for word in (*PRIVATE, str(customer.pk), "ada@example.com") if word in text]
    assert body["max_tokens"] == LONGEST_ANSWER and len(text) < 12_000
    assert set(body) == {"model", "messages", "max_tokens"}
    figures = json.loads(body["messages"][1]["content"])
    assert figures == row.figures
    assert (figures["totals"]["events"], Decimal(figures["totals"]["spend"])) == (4, usd("10"))
    assert [(each["model"], each["share_percent"]) for each in figures["by_model"]] == [
        (LARGE, "90.0"),
        (SMALL, "5.0"),
        ("other", "5.0"),
    ]
    assert [(each["kind"], each["prompt_tokens"]) for each in figures["by_kind"]] == [("chat", 2_000)]
    [finding] = figures["findings"]
    assert finding == {
        "kind": "caching",
        "model": LARGE,
        "saving_a_month": finding["saving_a_month"],
        "confidence": "low",
        "events": 2,
        "prefix": 900,
        "hits": 1,
    }
    assert Decimal(finding["saving_a_month"]) == 2


def encoded(body):
    return json.dumps(body).encode()


def test_the_answer_is_kept_with_its_cost_and_nobody_is_charged(customer, provider):
    entries = LedgerEntry.objects.count()
    row = written(customer)
    assert (row.state, row.model, row.error) == ("written", SMALL, "") and row.text and row.finished_at
    assert row.completion_tokens > 0 and row.cost == provider.usage(key=KEY) > 0
    assert LedgerEntry.objects.count() == entries
    attempt = Attempt.objects.get(hold_id=row.pk)  # so that the shared key's books agree with the provider's
    assert (attempt.cost, attempt.answered, attempt.status_code) == (row.cost, False, 200)
    assert attempt.key_hash == hashlib.sha256(KEY.encode()).hexdigest()
    assert not own_calls_running(attempt.key_hash)


def test_recovery_holds_still_while_a_call_of_our_own_runs(customer, provider, monkeypatch):
    seen = []
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    real = services.written.ask_as_platform.__globals__["ask_model"]

    def watching(*args):
        seen.append((own_calls_running(digest), Attempt.objects.get().error_type))
        return real(*args)

    monkeypatch.setattr("openrouter.services.own_calls.ask_model", watching)
    written(customer)
    assert seen == [(True, RUNNING)]


def test_the_text_is_shown_escaped_with_the_figures_it_rests_on(customer, provider, monkeypatch):
    row = written(customer)
    text = "Use <b>less</b>.\n<script>alert(1)</script>"
    WrittenAdvice.objects.filter(pk=row.pk).update(text=text)
    browser = sign_in(customer.memberships.get().user)
    page = browser.get("/recommendations/").content.decode()
    assert "Use &lt;b&gt;less&lt;/b&gt;." in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page and f"{LARGE} 90.0 %" in page and "The figures it was given" in page
    assert Caller(customer).ask("GET", f"recommendations/advice/{row.pk}")[1]["text"] == text


def test_what_is_kept_of_an_answer_is_plain_and_bounded():
    assert readable_text(" a\x00b\x1b[31m\u202ec\nd ", is_cut=False) == "ab[31mc\nd"
    assert readable_text("a", is_cut=True) == "a …"
    assert len(readable_text("x" * 10_000, is_cut=False)) == 6_002
    assert readable_text("\x00", is_cut=True) == ""


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("slug", ["free", "starter", "professional"])
def test_tiers_without_it_are_refused_and_shown_none(customer, provider, slug):
    written(customer)
    put_on(customer, slug)
    with pytest.raises(NotInTier) as refusal:
        ask(customer)
    assert refusal.value.facts["included_in"] == ["enterprise"]
    assert WrittenAdvice.objects.count() == 1
    page = sign_in(customer.memberships.get().user).get("/recommendations/").content.decode()
    assert "Ask for advice" not in page and "The figures it was given" not in page
    assert ("A larger plan has advice written" in page) == (slug != "free")


def test_without_a_key_the_feature_says_so(customer, provider, settings):
    settings.OPENROUTER_API_KEY = ""
    with pytest.raises(AdviceNotConfigured):
        ask(customer)
    assert Caller(customer).ask("POST", "recommendations/advice")[1]["code"] == "advice_not_configured"
    page = sign_in(customer.memberships.get().user).get("/recommendations/").content.decode()
    assert "the operator has configured no provider key" in page and "Ask for advice" not in page
    assert not WrittenAdvice.objects.exists()


def test_test_mode_asks_the_account_behind_test_keys_about_its_own_usage(customer, provider, settings):
    twin = customer.test_twin
    put_on(twin, "enterprise")
    with pytest.raises(AdviceNotConfigured):
        ask(twin)
    settings.OPENROUTER_SANDBOX_URL, settings.OPENROUTER_SANDBOX_API_KEY = provider.base_url, "sk-or-v1-other"
    with pytest.raises(NothingToAdviseOn):
        ask(twin)
    row = written(customer)
    assert Caller(twin).ask("GET", f"recommendations/advice/{row.pk}")[0] == 404
    assert Caller(twin).ask("GET", "recommendations/advice")[1]["data"] == []


def test_the_same_figures_are_written_about_once_a_day_and_changed_ones_again(customer, provider):
    first = written(customer)
    with pytest.raises(AdviceTooSoon) as refusal:
        ask(customer)
    assert refusal.value.facts["again_at"] == first.created_at + timedelta(days=1)
    Recommendation.objects.update(saving=usd("3"))
    assert written(customer).state == "written"
    for cents in range(3):
        Recommendation.objects.update(saving=usd(f"4.{cents}"))
        written(customer)
    Recommendation.objects.update(saving=usd("5"))
    with pytest.raises(AdviceTooSoon):
        ask(customer)  # the sixth within a day
    assert ask(customer, at=timezone.now() + timedelta(hours=25)).is_open


def test_a_failure_says_so_and_may_be_tried_again(customer, provider, settings):
    provider.set_fault("402-credits")
    row = written(customer)
    assert (row.state, row.text, row.cost) == ("failed", "", None) and row.error.startswith("402")
    caller = Caller(customer)
    answer = caller.ask("GET", f"recommendations/advice/{row.pk}")[1]
    assert answer["problem"] == "The model could not be asked. You may ask again." and "402" not in json.dumps(answer)
    page = sign_in(customer.memberships.get().user).get("/recommendations/").content.decode()
    assert "The model could not be asked" in page and "Try again" in page
    assert Attempt.objects.get(hold_id=row.pk).status_code == 402
    settings.OPENROUTER_BASE_URL = f"http://127.0.0.1:{free_port()}/api/v1"
    assert written(customer).state == "failed"
    settings.OPENROUTER_BASE_URL = provider.base_url
    status, asked = caller.ask("POST", "recommendations/advice")
    assert (status, asked["state"]) == (202, "asked")
    assert caller.ask("POST", "recommendations/advice")[1]["code"] == "advice_being_written"
    services.write_advice()
    done = caller.ask("GET", f"recommendations/advice/{asked['id']}")[1]
    assert done["state"] == "written" and done["text"] and "cost" not in done
    assert caller.ask("POST", "recommendations/advice")[1]["code"] == "advice_too_soon"


def test_the_page_asks_and_shows_that_it_is_waited_for(customer, provider):
    browser = sign_in(customer.memberships.get().user)
    page = browser.post("/recommendations/advice/ask/", follow=True).content.decode()
    assert "The advice is being written" in page and 'hx-get="/recommendations/advice/"' in page
    services.write_advice()
    card = browser.get("/recommendations/advice/", headers={"HX-Request": "true"}).content.decode()
    assert "The figures it was given" in card and "hx-get" not in card
    assert browser.get("/recommendations/advice/").status_code == 302


# ---------------------------------------------------------------- twice, and dead workers


def test_a_dead_workers_request_is_taken_over_and_given_up_after_the_second(customer, provider):
    row = ask(customer)
    past = timezone.now() - timedelta(seconds=1)
    WrittenAdvice.objects.update(attempts=1, claimed_until=timezone.now() + timedelta(minutes=1))
    assert services.write_advice() == 0  # another worker has it
    WrittenAdvice.objects.update(attempts=2, claimed_until=past)
    assert services.write_advice() == 1
    row.refresh_from_db()
    assert (row.state, row.error) == ("failed", "The worker was stopped each time.")
    assert not Attempt.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_asked_and_written_by_many_at_once_it_is_asked_and_written_once(provider):
    customer = furnished()
    results = run_parallel([lambda: ask(customer)] * 4)
    assert sorted(type(each).__name__ for each in results) == [*["AdviceBeingWritten"] * 3, "WrittenAdvice"]
    assert isinstance(next(each for each in results if isinstance(each, Exception)), AdviceBeingWritten)
    with pytest.raises(IntegrityError), transaction.atomic():  # without the lock the constraint holds
        WrittenAdvice.objects.create(organization=customer, figures={}, fingerprint="", requested_by="t")
    assert sorted(run_parallel([services.write_advice] * 4)) == [0, 0, 0, 1]
    assert WrittenAdvice.objects.get().state == "written"
    assert Attempt.objects.count() == len(provider.generations()) == 1
    forget_terms()

"""Ways to spend less: each saving equal to a recomputation by hand, decided on once, carried out and undone."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from django.db import transaction

from accounts.entitlements import NotInTier
from accounts.principal import Actor
from advice import services
from advice.errors import NotApplicable, RecommendationDecided
from advice.findings.answers import limit_for
from advice.findings.prefixes import Group, _subject, saved_by
from advice.findings.review import review
from advice.models import Finding, Recommendation, RecommendationReview
from advice.notices import recommendations_found
from advice.services import recommendations
from core.ids import uuid7
from credits.services import grant_credits
from metering.models import LanguageModel, UsageEvent
from metering.price_book import forget_price_book
from metering.services import record_usage
from openrouter.gateway.routing import read_rules
from openrouter.models import RoutingRule
from outbox.models import DomainEvent, Notice
from outbox.services import dispatch_events
from tests.advice.recorded import TEN, make_use
from tests.api.caller import Caller
from tests.builders import make_customer, make_user, sign_in, usd
from tests.metering.reporting import make_model
from tiers.catalogue import MANAGED_CREDITS, load_catalogue
from tiers.errors import NoTier
from tiers.models import Subscription, Tier
from tiers.querysets import forget_terms

AT = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LARGE, SMALL, OTHER, TINY, BLIND = "maker/large", "maker/small", "other/fair", "other/tiny", "blind/text"
FREE = f"{OTHER}:free"
ME = Actor("ada@example.com")


def place(text):
    return Decimal(text).quantize(Decimal(1).scaleb(-12), rounding=ROUND_HALF_EVEN)


class World:
    def __init__(self):
        load_catalogue(name=MANAGED_CREDITS, at=START)
        seeing = {"input_modalities": ["text", "image"], "output_modalities": ["text"]}
        prices = {
            LARGE: ("0.000005", "0.000075"),
            SMALL: ("0.000001", "0.000004"),
            OTHER: ("0.0000008", "0.000003"),
            TINY: ("0.00000001", "0.00000001"),
            BLIND: ("0.000001", "0.000004"),
            FREE: ("0", "0"),
        }
        for model, (prompt, completion) in prices.items():
            cache = {"input_cache_read": "0.0000005"} if model == LARGE else {}
            make_model(model, prompt=prompt, completion=completion, is_free=model == FREE, **cache)
            known = {**seeing, "context_length": 200_000, "max_completion_tokens": 8_000}
            LanguageModel.objects.filter(pk=model).update(**known)
        LanguageModel.objects.filter(pk=BLIND).update(input_modalities=["text"])
        forget_price_book()
        self.customer = make_customer(owner=make_user())
        self.put_on("starter")
        posting = {"amount": usd("900"), "kind": "bonus", "reason": "t", "actor": "t", "at": START}
        grant_credits(organization_id=self.customer.pk, **posting)
        self._large()
        self._fair()
        services.review_usage(organization_id=self.customer.pk, at=AT)

    def _large(self):
        """Three hundred calls of one prompt, three of whose answers run away."""
        records = [
            make_use(
                self.customer,
                LARGE,
                at=START + timedelta(minutes=4 * number),
                prompt=12_000 + number % 7,
                completion=6_000 if number % 100 == 99 else 300,
                components=[TEN],
                source="gateway",
                tags={"prompt_id": "brief"},
            )
            for number in range(300)
        ]
        self._record(records)

    def _fair(self):
        """Sixty calls of another model; every third asks what was asked before, all name their longest answer."""
        records = [
            make_use(
                self.customer,
                OTHER,
                at=START + timedelta(hours=number),
                prompt=40_000,
                completion=1_000 + number,
                components=[TEN],
                source="gateway",
                metadata={"fingerprint": f"{number // 3:032x}", "asked_max_tokens": 2_000},
            )
            for number in range(60)
        ]
        self._record(records)

    def _record(self, records):
        outcomes = record_usage(records, at=AT)
        assert {each.status for each in outcomes} == {"recorded"}

    def put_on(self, slug):
        """Another tier, without anything that comes with a switch."""
        tier = Tier.objects.current().get(slug=slug)
        Subscription.objects.open().filter(organization=self.customer).update(tier=tier)
        forget_terms()

    def events(self, model):
        return UsageEvent.objects.filter(organization_id=self.customer.pk, model=model)

    def one(self, kind, **which):
        return Recommendation.objects.get(organization=self.customer, kind=kind, **which)


@pytest.fixture(scope="module")
def made(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), transaction.atomic(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("openrouter.tasks.soon", lambda *_: None)
        forget_price_book()
        yield World()
        transaction.set_rollback(True)


@pytest.fixture
def world(made, db):
    forget_price_book()
    forget_terms()
    yield made
    forget_terms()


def decide(world, what, row, **more):
    ids = {"recommendation_id": row.pk, "organization_id": world.customer.pk}
    return getattr(services, f"{what}_recommendation")(**ids, actor=ME, at=AT, **more)


# ---------------------------------------------------------------- figures


def test_the_cheaper_model_saves_what_a_recomputation_of_every_call_says(world):
    row = world.one(Finding.CHEAPER_MODEL, subject=LARGE)
    costs = [
        place((event.prompt_tokens * usd("0.000001") + event.completion_tokens * usd("0.000004")) * usd("1.1"))
        for event in world.events(LARGE)
    ]
    assert row.saving == sum(event.charge for event in world.events(LARGE)) - sum(costs)
    assert (row.evidence["to_model"], row.evidence["events"]) == (SMALL, 300)
    # the one that sees nothing and the one at a five-hundredth of the price are no match
    assert [each["model"] for each in row.evidence["alternatives"]] == [OTHER]


def test_the_free_variant_saves_everything(world):
    row = world.one(Finding.FREE_MODEL, subject=OTHER)
    assert row.saving == sum(event.charge for event in world.events(OTHER))
    assert (row.evidence["to_model"], row.confidence) == (FREE, "high")


def test_a_limit_saves_the_tokens_beyond_it(world):
    row = world.one(Finding.OUTPUT_LIMIT, subject=LARGE)
    assert (row.evidence["max_tokens"], row.evidence["cut"], row.evidence["longest"]) == (320, 3, 6_000)
    assert row.saving == 3 * place((6_000 - 320) * usd("0.000075") * usd("1.1"))
    assert not Recommendation.objects.filter(kind=Finding.OUTPUT_LIMIT, subject=OTHER).exists()


def test_repeated_prompts_save_what_the_cache_would(world):
    row = world.one(Finding.CACHING)
    prefix = 12_000 - 2 * 6  # nine in ten have 12,000 at least; they differ by six
    assert (row.evidence["prefix"], row.evidence["hits"], row.evidence["misses"]) == (prefix, 299, 1)
    assert row.saving == place(299 * prefix * (usd("0.000005") - usd("0.0000005")) * usd("1.1"))


def test_repetitions_save_all_but_the_dearest_of_each_request_and_day(world):
    groups = {}
    for event in world.events(OTHER):
        key = (event.metadata["fingerprint"], event.occurred_at.date())
        groups.setdefault(key, []).append(event.charge)
    saving = sum(sum(charges) - max(charges) for charges in groups.values())
    row = Recommendation.objects.filter(organization=world.customer, kind=Finding.DUPLICATES).first()
    assert (row is None) == (saving < 1)
    if row is not None:
        assert row.saving == saving


def test_the_better_plan_is_counted_with_its_price_and_credit(world):
    assert not Recommendation.objects.filter(kind=Finding.TIER).exists()  # Starter is the cheapest for this usage
    world.put_on("enterprise")
    services.review_usage(organization_id=world.customer.pk, at=AT)
    row = world.one(Finding.TIER)
    events = UsageEvent.objects.filter(organization_id=world.customer.pk)
    costs = [Decimal(event.derivation["cost"]) for event in events]
    now = 99 + max(sum(event.charge for event in events) - 100, 0)  # as charged, whatever the plan of today
    offers = {
        "starter|managed": 30 + max(sum(place(cost * usd("1.1")) for cost in costs) - 30, 0),
        "professional|managed": 50 + max(sum(place(cost * usd("1.05")) for cost in costs) - 50, 0),
        "professional|byok": 50 + sum(map(place, costs)),
        "enterprise|byok": 99 + sum(map(place, costs)),
    }
    best = min(offers, key=offers.get)
    assert (row.subject, row.saving, row.confidence) == (best, now - offers[best], "low")
    assert "Optimization: AI-powered" in row.evidence["lost"] and "Team management: Included" in row.evidence["lost"]
    with pytest.raises(NotApplicable):
        decide(world, "apply", row)


def test_limits_and_prefixes_stand_on_enough_calls():
    assert limit_for([10] * 199) is None
    assert limit_for([10] * 198 + [5_000, 5_000]) == 64
    assert limit_for(list(range(1, 401))) is None  # none runs away
    few = Group("m", "t", [(AT, 5_000, 0)] * 49)
    assert few.prefix == 0
    assert Group("m", "t", [(AT, 5_000 + 100 * (n % 40), 0) for n in range(100)]).prefix == 0  # too different
    long = [_subject(Group("m" * 160, f"prompt_id={'t' * 240}{end}")) for end in "ab"]
    assert long[0] != long[1] and {len(each) for each in long} == {340} and _subject(few) == "m t"
    calls = [(AT, 2_000, 0), (AT + timedelta(minutes=5), 2_000, 900), (AT + timedelta(minutes=11), 2_000, 0)]
    hits, misses, saved = saved_by(calls, 1_500, usd("3"), usd("1"), usd("4"))
    assert (hits, misses, saved) == (1, 2, 600 * 2 - 2 * 1_500)


# ---------------------------------------------------------------- keeping and deciding


def test_a_second_look_changes_nothing_and_tells_nothing_again(world):
    before = list(Recommendation.objects.order_by("pk").values())
    told = DomainEvent.objects.filter(type="recommendations.found", organization=world.customer)
    assert told.count() == 1 and told.get().data["count"] == len(before)
    services.review_usage(organization_id=world.customer.pk, at=AT)
    assert list(Recommendation.objects.order_by("pk").values()) == before
    assert told.count() == 1
    dispatch_events(at=AT + timedelta(hours=1))
    assert Notice.objects.filter(organization=world.customer, type="recommendations.found").count() == 1


def test_what_is_no_longer_so_goes_and_comes_back(world):
    row = world.one(Finding.FREE_MODEL)
    LanguageModel.objects.filter(pk=FREE).update(vanished_at=AT)
    forget_price_book()
    services.review_usage(organization_id=world.customer.pk, at=AT)
    row.refresh_from_db()
    assert row.state == "gone"
    LanguageModel.objects.filter(pk=FREE).update(vanished_at=None)
    forget_price_book()
    services.review_usage(organization_id=world.customer.pk, at=AT)
    row.refresh_from_db()
    assert row.state == "open"


def test_a_dismissal_stays_until_it_is_taken_back(world):
    row = decide(world, "dismiss", world.one(Finding.CACHING), reason=" We cannot. ")
    services.review_usage(organization_id=world.customer.pk, at=AT)
    row.refresh_from_db()
    assert (row.state, row.reason, row.decided_by) == ("dismissed", "We cannot.", ME.label)
    with pytest.raises(RecommendationDecided):
        decide(world, "dismiss", row, reason="")
    assert decide(world, "reopen", row).state == "open"
    assert DomainEvent.objects.filter(type="recommendation.decided", data__subject=row.subject).count() == 2


def test_following_two_makes_one_rule_and_each_is_undone_alone(world):
    spare = {"match": LARGE, "fallbacks": [SMALL, OTHER], "provider": {"sort": "price"}, "priority": 7}
    everybody = RoutingRule.objects.create(**spare)
    model, limit = world.one(Finding.CHEAPER_MODEL, subject=LARGE), world.one(Finding.OUTPUT_LIMIT)
    decide(world, "apply", model)
    decide(world, "apply", limit)
    [rule] = RoutingRule.objects.filter(organization=world.customer)
    assert (rule.match, rule.replacement, rule.max_tokens) == (LARGE, SMALL, 320)
    assert (rule.fallbacks, rule.provider, rule.priority) == ([OTHER], {"sort": "price"}, 7)  # what held before stays
    assert read_rules().first([LARGE], world.customer.pk, "starter") == rule
    services.review_usage(organization_id=world.customer.pk, at=AT)
    assert {world.one(Finding.OUTPUT_LIMIT).state, world.one(Finding.CHEAPER_MODEL, subject=LARGE).state} == {"applied"}
    decide(world, "withdraw", model)
    rule.refresh_from_db()
    assert (rule.replacement, rule.max_tokens) == ("", 320)
    decide(world, "withdraw", limit)
    assert not RoutingRule.objects.filter(organization=world.customer).exists()
    assert read_rules().first([LARGE], world.customer.pk, "starter") == everybody


def test_what_an_operator_says_for_everybody_stays_beside_what_is_followed(world):
    everybody = {"match": LARGE, "replacement": OTHER, "max_tokens": 100, "fallbacks": [SMALL]}
    RoutingRule.objects.create(**everybody)
    model, limit = world.one(Finding.CHEAPER_MODEL, subject=LARGE), world.one(Finding.OUTPUT_LIMIT)
    decide(world, "apply", limit)
    [rule] = RoutingRule.objects.filter(organization=world.customer)
    assert (rule.replacement, rule.max_tokens, rule.fallbacks) == (OTHER, 100, [SMALL])  # the shorter limit stands
    decide(world, "apply", model)
    rule.refresh_from_db()
    assert (rule.replacement, rule.max_tokens, rule.fallbacks) == (SMALL, 100, [])
    decide(world, "withdraw", model)
    rule.refresh_from_db()
    assert (rule.replacement, rule.max_tokens) == (OTHER, 100)
    decide(world, "withdraw", limit)
    assert not RoutingRule.objects.filter(organization=world.customer).exists()


def test_what_the_gateway_cannot_do_or_an_operator_routes_is_not_followed(world):
    row = world.one(Finding.CACHING)
    with pytest.raises(NotApplicable):
        decide(world, "apply", row)
    row.refresh_from_db()
    assert row.state == "open"
    RoutingRule.objects.create(match=LARGE, organization=world.customer, fallbacks=[SMALL])
    with pytest.raises(NotApplicable):
        decide(world, "apply", world.one(Finding.OUTPUT_LIMIT))
    assert RoutingRule.objects.filter(organization=world.customer).get().max_tokens is None


def test_an_operator_who_deletes_the_rule_opens_the_recommendation_again(world):
    row = decide(world, "apply", world.one(Finding.OUTPUT_LIMIT))
    RoutingRule.objects.filter(pk=row.rule_id).delete()
    services.review_usage(organization_id=world.customer.pk, at=AT)
    row.refresh_from_db()
    assert (row.state, row.rule_id) == ("open", None)


def test_the_job_takes_each_organization_once_a_day(world):
    idle = make_customer()
    assert services.review_due(at=AT) == 0
    assert services.review_due(at=AT + timedelta(hours=25)) == 1
    assert not RecommendationReview.objects.filter(organization=idle).exists()


def test_those_who_cannot_be_reviewed_keep_nobody_waiting(world, monkeypatch):
    def some_fail(organization_id, at):
        if organization_id == broken.pk:
            raise RuntimeError("odd usage")
        if organization_id == without.pk:
            raise NoTier
        return review(organization_id, at)

    without, broken, good = make_customer(), make_customer(), make_customer()
    for customer in (without, broken, good):
        record_usage([make_use(customer, SMALL, at=AT, is_byok=True)], at=AT)
    monkeypatch.setattr(recommendations, "review", some_fail)
    later = AT + timedelta(hours=25)
    assert services.review_due(at=later, limit=2) == 2
    reviewed = RecommendationReview.objects.filter(computed_at=later).values_list("organization_id", flat=True)
    assert set(reviewed) == {world.customer.pk, good.pk}


# ---------------------------------------------------------------- tiers, API, pages


def test_a_tier_with_tips_shows_no_figures_and_follows_nothing(world):
    world.put_on("free")
    with pytest.raises(NotInTier) as refusal:
        decide(world, "apply", world.one(Finding.OUTPUT_LIMIT))
    assert "starter" in refusal.value.facts["included_in"]
    status, answer = Caller(world.customer).ask("GET", "recommendations")
    assert (status, answer["level"]) == (200, "tips")
    assert {(each["saving"], each["evidence"], each["may_be_applied"]) for each in answer["data"]} == {
        (None, None, False)
    }
    page = sign_in(world.customer.memberships.get().user).get("/recommendations/").content.decode()
    assert "Your plan shows tips" in page and "Follow it" not in page and "a month" not in page


def test_the_news_of_a_find_tells_a_tier_with_tips_no_figures(world):
    world.put_on("free")
    for model in (DomainEvent, Recommendation):
        model.objects.filter(organization_id=world.customer.pk).delete()
    services.review_usage(organization_id=world.customer.pk, at=AT)
    told = DomainEvent.objects.get(type="recommendations.found", organization=world.customer)
    assert told.data["saving"] is None and told.data["count"] > 0
    dispatch_events(at=AT + timedelta(hours=1))
    notice = Notice.objects.get(organization=world.customer, type="recommendations.found")
    words = recommendations_found(notice.data)
    assert words.title and "$" not in words.title + words.text


def test_the_api_lists_decides_and_refuses_strangers(world):
    caller = Caller(world.customer)
    status, answer = caller.ask("GET", "recommendations")
    assert (status, answer["level"], answer["events"]) == (200, "recommendations", 360)
    savings = [usd(each["saving"]) for each in answer["data"]]
    assert savings == sorted(savings, reverse=True) and len(savings) >= 5
    limit = next(each for each in answer["data"] if each["kind"] == "output_limit")
    where = f"recommendations/{limit['id']}"
    status, applied = caller.ask("POST", f"{where}/apply")
    assert (status, applied["state"]) == (200, "applied") and applied["rule_id"]
    assert caller.ask("POST", f"{where}/apply")[1]["code"] == "recommendation_decided"
    assert [each["id"] for each in caller.ask("GET", "recommendations?state=applied")[1]["data"]] == [limit["id"]]
    assert caller.ask("POST", f"{where}/withdraw")[1]["state"] == "open"
    assert caller.ask("POST", f"{where}/dismiss", {"reason": "No"})[1]["reason"] == "No"
    assert caller.ask("POST", f"{where}/reopen")[1]["state"] == "open"
    prompts = next(each for each in answer["data"] if each["kind"] == "caching")
    assert caller.ask("POST", f"recommendations/{prompts['id']}/apply")[1]["code"] == "recommendation_not_applicable"
    assert caller.ask("GET", f"recommendations/{uuid7()}")[1]["code"] == "unknown_recommendation"
    stranger = Caller(make_customer())
    assert stranger.ask("POST", f"{where}/dismiss")[1]["code"] == "unknown_recommendation"


def test_the_page_shows_the_evidence_and_decides(world):
    browser = sign_in(world.customer.memberships.get().user)
    page = browser.get("/recommendations/").content.decode()
    assert f"Use {SMALL} for the work of {LARGE}" in page and "The events behind it" in page and "360 events" in page
    row = world.one(Finding.OUTPUT_LIMIT)
    answer = browser.post(f"/recommendations/{row.pk}/apply/", follow=True).content.decode()
    assert "The gateway follows it from now on" in answer
    followed = browser.get("/recommendations/?state=applied").content.decode()
    assert "Limit answers of maker/large to 320 tokens" in followed and "Undo" in followed
    browser.post(f"/recommendations/{row.pk}/withdraw/")
    assert world.one(Finding.OUTPUT_LIMIT).state == "open"


def test_operators_see_recommendations_and_ask_for_everybody(world, client):
    client.force_login(make_user(is_staff=True, is_superuser=True))
    listing = client.get("/admin/advice/recommendation/").content.decode()
    assert f"Use {SMALL} for the work of {LARGE}" in listing
    form = {"start": "2026-03-01", "end": "2026-03-31", "model": SMALL, "window": "monthly"}
    answer = client.post("/admin/advice/whatifrun/add/", form, follow=True)
    page = answer.content.decode()
    assert "Would have paid" in page and world.customer.name in page
    where = answer.redirect_chain[-1][0].replace("change/", "organizations.csv")
    lines = client.get(where).content.decode().splitlines()
    assert len(lines) == 2 and lines[1].startswith(str(world.customer.pk))
    assert client.get("/admin/advice/whatifrun/").status_code == 200

"""The feature matrix of the prompt lab: each cell is given by the tiers that have it and refused by the others."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import ApiKey, Team
from accounts.principal import Actor
from accounts.services import create_team
from advice.models import Confidence, Finding, Recommendation
from metering.budgets.models import Budget
from metering.services import record_usage
from reports.models import ReportSubscription
from tests.builders import make_customer, make_record, make_user, sign_in
from tests.metering.reporting import make_model
from tiers.catalogue import PROMPT_LAB, load_catalogue
from tiers.services import subscribe

pytestmark = pytest.mark.django_db
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY = UUID(int=7)
_numbers = count(1)

FREE, TEAMS, ENTERPRISE = TIERS = ("lab-free", "lab-teams", "lab-enterprise")
ALL, PAID, TOP, NONE = set(TIERS), {TEAMS, ENTERPRISE}, {ENTERPRISE}, set()
DAYS = {FREE: 7, TEAMS: 90, ENTERPRISE: None}
CALL = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Name three rivers."}]}
EVIDENCE = {"model": CALL["model"], "tag": "prompt_id=greeting", "events": 60, "prefix": 2_000, "would_save": "5"}
EVIDENCE |= {"hits": 59, "misses": 1, "prompt_tokens": 180_000, "cached_tokens": 0}
WEEKLY = {"cadence": "weekly", "member_ids": ["MEMBER"]}


def budget(scope="organization", period="monthly", subject=""):
    return {"name": "b", "scope": scope, "subject": subject, "period": period, "amount": "5"}


# What each row is asked by: a request, the tiers that carry it out, and the entitlement that the others name.
CELLS = {
    "token preview: basic": ("POST", "metering/estimate?detail=basic", CALL, ALL, ""),
    "token preview: full": ("POST", "metering/estimate?detail=full", CALL, PAID, "token_preview"),
    "cost tracking: by model": ("GET", "metering/by-model", None, ALL, ""),
    "cost tracking: by day and kind": ("GET", "metering/analytics?group_by=kind&granularity=day", None, ALL, ""),
    "cost tracking: by prompt": ("GET", "metering/analytics?group_by=prompt", None, PAID, "cost_tracking"),
    "cost tracking: by key": ("GET", "metering/analytics?group_by=model,key", None, PAID, "cost_tracking"),
    "cost tracking: of a tag": ("GET", "metering/analytics?tag=a:b", None, PAID, "cost_tracking"),
    "cost tracking: by user": ("GET", "metering/by-user", None, PAID, "cost_tracking"),
    "cost tracking: by tag": ("GET", "metering/by-tag", None, PAID, "cost_tracking"),
    "cost tracking: of a member": ("GET", "metering/summary?member_id=MEMBER", None, PAID, "cost_tracking"),
    "budget limits: daily": ("POST", "budgets", budget(period="daily"), TOP, "budget_periods"),
    "budget limits: weekly": ("POST", "budgets", budget(period="weekly"), NONE, "budget_periods"),
    "budget limits: monthly": ("POST", "budgets", budget(), PAID, "budget_periods"),
    "budget limits: total": ("POST", "budgets", budget(period="total"), NONE, "budget_periods"),
    "budgets of models": ("POST", "budgets", budget("model", subject="openai/*"), PAID, ""),
    "budgets of tags": ("POST", "budgets", budget("tag", subject="feature=search"), PAID, ""),
    "budgets of members": ("POST", "budgets", budget("member", subject="MEMBER"), TOP, ""),
    "budgets of teams": ("POST", "budgets", budget("team", subject="TEAM"), TOP, ""),
    "dashboards: basic": ("PAGE", "dashboard/", None, ALL, ""),
    "dashboards: personal": ("PAGE", "usage/personal/", None, PAID, "Dashboards: Personal"),
    "dashboards: team": ("PAGE", "teams/TEAM/", None, TOP, "Dashboards: Team"),
    "dashboards: sums by team": ("GET", "metering/analytics?group_by=team", None, TOP, "dashboards"),
    "dashboards: usage by team": ("PAGE", "usage/?by=team", None, TOP, "Dashboards: Team"),
    "dashboards: usage of a team": ("PAGE", "usage/?team=TEAM", None, TOP, "Dashboards: Team"),
    "cost tracking: usage by model": ("PAGE", "usage/?by=model", None, ALL, ""),
    "cost tracking: usage by prompt": ("PAGE", "usage/?by=prompt", None, PAID, "Cost tracking: Detailed"),
    "cost tracking: usage by member": ("PAGE", "usage/?by=member", None, PAID, "Cost tracking: Detailed"),
    "optimization: tips": ("PAGE", "recommendations/", None, ALL, ""),
    "optimization: follow it": ("POST", "recommendations/ADVICE/apply", {}, PAID, "recommendations"),
    "optimization: AI": ("POST", "recommendations/advice", {}, TOP, "recommendations"),
    "reporting: CSV": ("GET", "metering/analytics/export.csv", None, PAID, "exports"),
    "reporting: CSV of the page": ("PAGE", "usage/export.csv", None, PAID, "Exports: CSV"),
    "reporting: FOCUS": ("GET", "metering/analytics/focus.csv", None, PAID, "exports"),
    "reporting: FOCUS of the page": ("PAGE", "usage/focus.csv", None, PAID, "Exports: CSV"),
    "reporting: JSON": ("GET", "metering/analytics/export.json", None, NONE, "exports"),
    "reporting: PDF": ("GET", f"credits/statements/{NOBODY}.pdf", None, TOP, "exports"),
    "reporting: scheduled PDF": ("POST", "report-subscriptions", {**WEEKLY, "format": "pdf"}, TOP, "scheduled_reports"),
    "reporting: scheduled CSV": (
        "POST",
        "report-subscriptions",
        {**WEEKLY, "format": "csv"},
        NONE,
        "scheduled_reports",
    ),
    "team management": ("POST", "teams", {"name": "Search"}, TOP, "teams"),
    "API access": ("POST", "api-keys", {"name": "own", "scopes": ["usage:read"]}, TOP, "api_access"),
}
# Carried out as far as the tier is asked: nothing of this name is there, or nothing more is set up here.
BEYOND = {
    "reporting: PDF": "not_found",
    "optimization: follow it": "recommendation_not_applicable",
    "optimization: AI": "",
}


class Place:
    """An organization on a tier with some usage, a team and a recommendation, and its owner's browser."""

    def __init__(self, tier):
        load_catalogue(name=PROMPT_LAB, at=LONG_AGO)
        make_model(CALL["model"])
        make_model("cheap/one", prompt="0.0000001", completion="0.0000002")
        now = timezone.now()
        self.tier, self.owner = tier, make_user()
        self.customer = make_customer(owner=self.owner)
        subscribe(organization_id=self.customer.id, tier_slug=tier, at=now)
        self.member = self.customer.memberships.get()
        tags = {"prompt_id": "greeting"}
        record_usage([make_record(self.customer, "0", occurred_at=now, member_id=self.member.id, tags=tags)], at=now)
        self.team = create_team(organization_id=self.customer.id, name="Ours", actor=Actor("test"), at=now)
        self.advice = Recommendation.objects.create(
            organization=self.customer,
            kind=Finding.CACHING,
            subject="a",
            saving=5,
            confidence=Confidence.LOW,
            evidence=EVIDENCE,
            found_at=now,
            computed_at=now,
        )
        self.browser = sign_in(self.owner)

    def filled(self, text):
        ids = {"MEMBER": self.member.id, "TEAM": self.team.id, "ADVICE": self.advice.id}
        for name, value in ids.items():
            text = text.replace(name, str(value))
        return text

    def ask(self, method, path, body=None):
        """As the owner in a browser: a key with every scope is an operator's, who may hand out more."""
        if method == "PAGE":
            return self.browser.get(f"/{self.filled(path)}")
        data = "" if body is None else self.filled(json.dumps(body))
        return self.browser.generic(method, f"/api/v1/{self.filled(path)}", data, content_type="application/json")

    def rows(self):
        tables = (Budget, Team, ReportSubscription, ApiKey)
        return [table.objects.count() for table in tables], Recommendation.objects.get(pk=self.advice.pk).state


@pytest.mark.parametrize("tier", TIERS)
def test_every_cell_is_given_or_refused_by_name_and_then_nothing_is_made(tier):
    place = Place(tier)
    each_cell(place)
    preview(place)
    history(place)
    pages(place)
    if tier != FREE:
        personal(place)


def each_cell(place):
    for cell, (method, path, body, tiers, entitlement) in CELLS.items():
        before = place.rows()
        answer = place.ask(method, path, body)
        if place.tier in tiers:
            given(cell, answer)
            continue
        assert answer.status_code == 403, (cell, answer.content[:300])
        if method == "PAGE":
            assert f"{entitlement} is not included in" in answer.content.decode(), cell
        else:
            problem = answer.json()
            assert (problem["code"], problem["tier"]) == ("not_in_tier", place.tier), cell
            assert not entitlement or (problem["entitlement"], set(problem["included_in"])) == (entitlement, tiers), (
                cell
            )
        assert place.rows() == before, cell


def given(cell, answer):
    if cell in BEYOND:
        assert answer.status_code != 403 and answer.json()["code"].startswith(BEYOND[cell]), (cell, answer.content)
        return
    assert answer.status_code in (200, 201), (cell, answer.content[:300])


def preview(place):
    """A preview says as much as the tier includes."""
    is_full = place.tier != FREE
    told = place.ask("POST", "metering/estimate", CALL).json()
    assert told["detail"] == ("full" if is_full else "basic")
    assert bool(told["cost"]["likely"]["lines"]) is bool(told["alternatives"]) is is_full
    assert told["cost"]["worst"]["charge"] >= told["cost"]["likely"]["charge"] > "0"
    draft = {"model": CALL["model"], "prompt": "Name three rivers.", "system": "", "max_tokens": "100"}
    page = place.browser.post("/lab/estimate/", draft).content.decode()
    assert 'data-figure="likely"' in page and ("Cheaper models that fit" in page) is is_full
    assert ("Larger plans preview in full" in page) is not is_full


def pages(place):
    """Pages offer what the tier includes and no more."""
    usage = place.browser.get("/usage/").content.decode()
    assert ("by=prompt" in usage) is (place.tier != FREE) and ("by=team" in usage) is (place.tier == ENTERPRISE)
    assert ("/usage/personal/" in usage) is ("focus.csv" in usage) is (place.tier != FREE)
    assert ("Your plan shows costs by model and kind" in usage) is (place.tier == FREE)
    teams = place.browser.get("/teams/").content.decode()
    assert ("Team management is not included in" in teams) is (place.tier != ENTERPRISE)
    reports = place.browser.get("/reports/").content.decode()
    assert ("Scheduled reports: PDF is not included in" in reports) is (place.tier != ENTERPRISE)
    advice = place.browser.get("/recommendations/").content.decode()
    assert ("Your plan shows tips" in advice) is (place.tier == FREE)
    form = {"name": "of a page", "period": "monthly", "amount": "5", "enforcement": "alert", "thresholds": "90"}
    place.browser.post("/budgets/new/?scope=organization", form)
    assert Budget.objects.filter(name="of a page").exists() is (place.tier != FREE)
    place.browser.post("/keys/new/", {"name": "of a page", "scopes": ["usage:read"]})
    assert ApiKey.objects.filter(name="of a page").exists() is (place.tier == ENTERPRISE)


def personal(place):
    """A personal dashboard has one's own usage alone."""
    now = timezone.now()
    others = make_record(place.customer, "0", occurred_at=now, tags={"prompt_id": "somebody-elses"})
    record_usage([others], at=now)
    page = place.browser.get("/usage/personal/").content.decode()
    assert "greeting" in page and "somebody-elses" not in page and "Your usage" in page


def history(place):
    """Analytics look as far back as the tier keeps."""
    days, today = DAYS[place.tier], timezone.now().date()
    furthest = today - timedelta(days=(days or 1000) - 1)
    for by in ("model", *(["prompt"] if place.tier != FREE else [])):
        path = f"metering/analytics?group_by={by}&"
        assert place.ask("GET", f"{path}from={furthest}").status_code == 200
        beyond = place.ask("GET", f"{path}from={furthest - timedelta(days=1)}")
        assert beyond.status_code == (200 if days is None else 403)

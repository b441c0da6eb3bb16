"""The feature matrix of the prompt lab: each cell is given by the tiers that have it and refused by the others."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Team
from accounts.principal import Actor
from accounts.services import create_team
from metering.budgets.models import Budget
from reports.models import ReportSubscription
from tests.builders import make_customer, make_user, sign_in
from tiers.catalogue import PROMPT_LAB, load_catalogue
from tiers.services import subscribe

pytestmark = pytest.mark.django_db
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

FREE, TEAMS, ENTERPRISE = TIERS = ("lab-free", "lab-teams", "lab-enterprise")
# What each row is asked by: a request, and the tiers that carry it out.
BUDGET = {"name": "b", "scope": "organization", "amount": "5"}
CELLS = {
    "budget limits: daily": ("POST", "budgets", {**BUDGET, "period": "daily"}, {ENTERPRISE}),
    "budget limits: monthly": ("POST", "budgets", {**BUDGET, "period": "monthly"}, {TEAMS, ENTERPRISE}),
    "team management": ("POST", "teams", {"name": "Search"}, {ENTERPRISE}),
    "reporting: CSV export": ("GET", "metering/analytics/export.csv", None, {TEAMS, ENTERPRISE}),
    "reporting: FOCUS export": ("GET", "metering/analytics/focus.csv", None, {TEAMS, ENTERPRISE}),
    "reporting: scheduled PDF": ("POST", "report-subscriptions", {"cadence": "weekly", "format": "pdf"}, {ENTERPRISE}),
    "reporting: scheduled CSV": ("POST", "report-subscriptions", {"cadence": "weekly", "format": "csv"}, set()),
    "API access": ("POST", "api-keys", {"name": "own", "scopes": ["usage:read"]}, {ENTERPRISE}),
}
DAYS = {FREE: 7, TEAMS: 90, ENTERPRISE: None}


class Place:
    """An organization on a tier, and its owner's browser."""

    def __init__(self, tier):
        self.tier, self.owner = tier, make_user()
        self.customer = make_customer(owner=self.owner)
        subscribe(organization_id=self.customer.id, tier_slug=tier, at=timezone.now())
        self.browser = sign_in(self.owner)


@pytest.fixture(params=TIERS)
def place(request, db):
    load_catalogue(name=PROMPT_LAB, at=LONG_AGO)
    return Place(request.param)


def ask(place, method, path, body):
    """As the owner in a browser: a key with every scope is an operator's, who may hand out more."""
    if path == "report-subscriptions":
        body = {**body, "member_ids": [str(place.customer.memberships.get().id)]}
    return place.browser.generic(
        method, f"/api/v1/{path}", b"" if body is None else json.dumps(body), content_type="application/json"
    )


def rows():
    return Budget.objects.count(), Team.objects.count(), ReportSubscription.objects.count()


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_is_given_or_refused_by_name_and_then_nothing_is_made(place, cell):
    method, path, body, tiers = CELLS[cell]
    before = rows()
    answer = ask(place, method, path, body)
    if place.tier in tiers:
        assert answer.status_code in (200, 201), answer.content
        return
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["tier"]) == (403, "not_in_tier", place.tier)
    assert set(problem["included_in"]) == tiers
    assert rows() == before


def test_analytics_look_as_far_back_as_the_tier_keeps(place):
    days, today = DAYS[place.tier], timezone.now().date()
    furthest = today - timedelta(days=(days or 1000) - 1)
    for path in ("metering/analytics?group_by=model&", "metering/analytics?group_by=prompt&"):
        assert ask(place, "GET", f"{path}from={furthest}", None).status_code == 200
        beyond = ask(place, "GET", f"{path}from={furthest - timedelta(days=1)}", None)
        assert beyond.status_code == (200 if days is None else 403)


def test_team_dashboards_are_for_those_who_have_them(place):
    team = create_team(organization_id=place.customer.id, name="Search", actor=Actor("test"), at=timezone.now())
    answer = place.browser.get(f"/teams/{team.id}/")
    assert answer.status_code == (200 if place.tier == ENTERPRISE else 403)
    page = place.browser.get("/teams/").content.decode()
    assert ("Team management is not included in" in page) is (place.tier != ENTERPRISE)
    reports = place.browser.get("/reports/").content.decode()
    assert ("Scheduled reports: PDF is not included in" in reports) is (place.tier != ENTERPRISE)

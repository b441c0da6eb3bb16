"""What each tier of the catalogues includes is given, and what it does not is refused by name."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey
from metering.services import record_usage
from tests.builders import make_customer, make_key, make_organization, make_record, make_user, sign_in
from tiers.catalogue import load_catalogue
from tiers.permits import first_day_kept
from tiers.services import create_tier, subscribe

pytestmark = pytest.mark.django_db

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY = UUID(int=7)
MATRIX = {
    # tier: CSV, PDF, days of history, own API keys
    **dict.fromkeys(("free", "starter", "professional", "enterprise"), (True, True, None, True)),
    "lab-free": (False, False, 7, False),
    "lab-teams": (True, False, 90, False),
    "lab-enterprise": (True, True, None, True),
}
LIMITED = ("free", "lab-free")  # whose costs are not told apart by person and tag
WHO_HAS = {"csv": ["lab-teams", "lab-enterprise"], "pdf": ["lab-enterprise"], "keys": ["lab-enterprise"]}


@pytest.fixture(params=MATRIX)
def place(request):
    """Somebody's organization on a tier, with a key that can only read."""
    load_catalogue(name="managed-credits", at=LONG_AGO)
    load_catalogue(name="prompt-lab", at=LONG_AGO)
    person = make_user()
    organization = make_customer(owner=person)
    subscribe(organization_id=organization.id, tier_slug=request.param, at=timezone.now())
    _, secret = make_key(organization, scopes=("usage:read", "credits:read"))
    headers = {"Authorization": f"Bearer {secret}"}

    def ask(path, **query):
        return Client().get(f"/api/v1/{path}", query, headers=headers)

    return request.param, organization, person, ask


def test_each_cell_of_the_matrix_is_given_or_refused(place):
    tier, organization, person, ask = place
    csv, pdf, _days, keys = MATRIX[tier]
    check(ask("credits/transactions/export.csv"), csv, tier, "csv")
    check(ask(f"credits/statements/{NOBODY}.csv"), csv, tier, "csv", found=404)
    check(ask(f"credits/statements/{NOBODY}.pdf"), pdf, tier, "pdf", found=404)
    browser = sign_in(person, organization)
    of_statement = f"/credits/statements/{NOBODY}/export"
    for page, included in (
        ("/transactions/export.csv", csv),
        (f"{of_statement}.csv", csv),
        (f"{of_statement}.pdf", pdf),
    ):
        status = browser.get(page).status_code
        assert (status == 403) is not included, page
    made = browser.post("/api/v1/api-keys", {"name": "own", "scopes": ["usage:read"]}, content_type="application/json")
    check(made, keys, tier, "keys", found=201)
    assert ApiKey.objects.filter(name="own").exists() is keys
    assert ask("credits/transactions").status_code == 200
    check_history(ask, organization, tier)


def check(answer, included, tier, what, found=200):
    if included:
        assert answer.status_code == found, what
        return
    told = answer.json()
    assert (answer.status_code, told["code"], told["tier"]) == (403, "not_in_tier", tier), what
    assert told["included_in"] == WHO_HAS[what]
    assert "Enterprise" in told["detail"]


def check_history(ask, organization, tier):
    days = MATRIX[tier][2]
    now = timezone.now()
    for age in (3, 20, 120):
        at = now - timedelta(days=age)
        record = make_record(organization, "0", occurred_at=at, tags={"feature": "chat"})
        record_usage([record], at=at)
    is_detailed = tier not in LIMITED
    paths = ("summary", "by-model", "by-date", "free-tier", *(("by-user", "by-tag") if is_detailed else ()))
    for since in (6, 60, 150):
        day = (now - timedelta(days=since)).date().isoformat()
        reached = days is None or since < days
        answers = {path: ask(f"metering/{path}", **{"from": day}) for path in paths}
        assert {answer.status_code for answer in answers.values()} == {200 if reached else 403}, since
        if not reached:
            assert {answer.json()["code"] for answer in answers.values()} == {"not_in_tier"}
    usual = ask("metering/summary").json()  # thirty days, or what there is of them
    assert usual["total"]["events"] == (1 if days == 7 else 2)
    assert (usual["previous"] is None) is (days == 7)
    if is_detailed:
        assert {row["events"] for row in ask("metering/by-tag").json()["data"]} == {2}


def test_a_tier_that_says_nothing_and_a_place_without_tiers_deny_nothing():
    lonely = make_organization()
    today = timezone.now().date()
    assert first_day_kept(lonely.id, today) is None
    create_tier(at=LONG_AGO, slug="plain", name="Plain")
    subscribe(organization_id=lonely.id, tier_slug="plain", at=timezone.now())
    _, secret = make_key(lonely)
    answer = Client().get("/api/v1/credits/transactions/export.csv", headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, first_day_kept(lonely.id, today)) == (200, None)


def test_keys_that_an_operator_hands_out_make_keys_on_every_tier():
    load_catalogue(name="prompt-lab", at=LONG_AGO)
    organization = make_customer()
    subscribe(organization_id=organization.id, tier_slug="lab-free", at=timezone.now())
    _, secret = make_key(organization)
    body = {"name": "more", "scopes": ["usage:read"]}
    headers = {"Authorization": f"Bearer {secret}"}
    assert Client().post("/api/v1/api-keys", body, content_type="application/json", headers=headers).status_code == 201

"""Budgets through the API, the pages, the tiers, the notices, the back office's audit and the demo."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.models import Organization
from credits.models import Hold, SpendLimit
from metering.budgets.models import Budget, Period, Scope
from metering.demo.budgets import make_budgets
from metering.models import UsageEvent
from metering.services import record_usage
from metering.tasks import audit_windows
from outbox.models import DomainEvent, EmailDelivery
from outbox.notices.models import Notice
from outbox.services import dispatch_events
from tests.api.caller import Caller
from tests.builders import NOON, make_customer, make_record, make_user, sign_in, usd
from tiers.catalogue import load_catalogue
from tiers.models import Tier
from tiers.services import subscribe

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return make_user()


@pytest.fixture
def caller(owner):
    caller = Caller(make_customer(owner=owner))
    caller.ask("POST", "credits/allocate", {"amount": "100", "kind": "bonus", "reason": "test"})
    return caller


def use(organization, charge, **fields):
    at = timezone.now()
    record_usage([make_record(organization, charge, occurred_at=at, **fields)], at=at)


def test_a_budget_is_made_asked_changed_and_deleted_through_the_api(caller):
    organization = caller.key.organization
    use(organization, "4", tags={"feature": "search"})
    use(organization, "1")
    asked = {"name": "Search", "scope": "tag", "subject": "feature=search", "period": "monthly", "amount": "10.50"}
    status, made = caller.ask("POST", "budgets", {**asked, "enforcement": "block", "thresholds": ["50", "37.5"]})
    assert (status, made["amount"], made["subject"], made["thresholds"]) == (
        201,
        "10.5",
        "feature=search",
        ["37.5", "50"],
    )
    state = made["state"]
    assert (state["spent"], state["held"], state["remaining"], state["percent"]) == ("4", "0", "6.5", "38.09")
    assert (state["status"], state["told"]) == ("warning", ["37.5"])
    path = f"budgets/{made['id']}"
    hold = {"amount": "6", "key": "a", "tags": {"feature": "search"}}
    status, _ = caller.ask("POST", "credits/holds", hold)
    assert status == 201
    status, refused = caller.ask("POST", "credits/holds", {**hold, "key": "b", "amount": "0.51"})
    assert (status, refused["code"], refused["budget"]) == (402, "budget_exceeded", made["id"])
    assert (refused["required"], refused["remaining"], refused["resets_at"]) == ("0.51", "0.5", state["resets_at"])
    status, _ = caller.ask("POST", "credits/holds", {"amount": "50", "key": "c"})
    assert status == 201 and Hold.objects.count() == 2
    status, changed = caller.ask("PATCH", path, {"amount": "20", "max_prompt_tokens": 100})
    assert (status, changed["state"]["remaining"], changed["max_prompt_tokens"]) == (200, "10", 100)
    status, found = caller.ask("GET", f"{path}/events")
    assert [event["charge"] for event in found["data"]] == ["4"]
    status, windows = caller.ask("GET", f"{path}/windows")
    assert [(each["spent"], each["held"], each["amount"]) for each in windows["data"]] == [("4", "6", "20")]
    assert [each["id"] for each in caller.ask("GET", "budgets?scope=tag&period=monthly")[1]["data"]] == [made["id"]]
    assert caller.ask("GET", "budgets?enforcement=alert")[1] == {"data": []}
    assert caller.ask("PATCH", path, {"scope": "organization"})[0] == 400
    status, refused = caller.ask("POST", "budgets", {**asked, "subject": "search"})
    assert (status, refused["code"], refused["errors"][0]["field"]) == (400, "invalid_budget", "subject")
    assert caller.ask("DELETE", path) == (204, None)
    assert caller.ask("GET", path)[0] == 404 and not Budget.objects.exists()


def test_a_key_that_only_reads_changes_nothing(caller):
    reader = Caller(caller.key.organization, scopes=("usage:read",))
    _, made = caller.ask("POST", "budgets", {"name": "All", "period": "daily", "amount": "1"})
    for method, path in (("POST", "budgets"), ("PATCH", f"budgets/{made['id']}"), ("DELETE", f"budgets/{made['id']}")):
        status, refused = reader.ask(method, path, {"name": "x", "period": "daily", "amount": "2"})
        assert (status, refused["code"]) == (403, "insufficient_scope")
    assert reader.ask("GET", f"budgets/{made['id']}")[1]["amount"] == "1"
    stranger = Caller(make_customer())
    assert [stranger.ask("GET", f"budgets/{made['id']}{rest}")[0] for rest in ("", "/events", "/windows")] == [404] * 3


CELLS = {
    "lab-free": (set(), set()),
    "lab-teams": ({"monthly"}, {"organization", "api_key", "model", "tag"}),
    "lab-enterprise": ({"daily", "monthly"}, {"organization", "team", "member", "api_key", "model", "tag"}),
    "free": ({"monthly"}, {"organization"}),
    "enterprise": (set(Period.values), set(Scope.values)),
}


def test_each_tier_gives_its_periods_and_scopes_and_refuses_the_others():
    for name in ("managed-credits", "prompt-lab"):
        load_catalogue(name=name, at=NOON - timedelta(days=99))
    slugs = {tier.slug: tier for tier in Tier.objects.current()}
    for slug, tier in slugs.items():
        caller = Caller(make_customer(tier_slug=slug, at=timezone.now()), at=timezone.now())
        periods, scopes = (set(tier.entitlements.get(key, ())) for key in ("budget_periods", "budget_scopes"))
        if slug in CELLS:
            assert (periods, scopes) == CELLS[slug]
        for period in Period.values:
            status, answer = caller.ask("POST", "budgets", {"name": "x", "period": period, "amount": "1"})
            given = period in periods and "organization" in scopes
            assert status == (201 if given else 403), (slug, period, answer)
            assert given or (answer["code"], answer["tier"]) == ("not_in_tier", slug)
        for scope in set(Scope.values) - {"organization"}:
            asked = {
                "name": "x",
                "scope": scope,
                "subject": "nobody",
                "period": min(periods or {"daily"}),
                "amount": "1",
            }
            status, answer = caller.ask("POST", "budgets", asked)
            given = bool(periods) and scope in scopes
            assert answer["code"] == ("invalid_budget" if given else "not_in_tier"), (slug, scope)


def test_pages_show_make_change_and_delete_budgets(caller, owner):
    organization = caller.key.organization
    browser = sign_in(owner, organization)
    assert "No budget yet" in browser.get("/budgets/").content.decode()
    for scope in Scope.values:
        assert browser.get(f"/budgets/new/?scope={scope}").status_code == 200
    use(organization, "8", api_key_id=caller.key.pk)
    form = {"name": "Backend", "amount": "10", "period": "monthly", "enforcement": "alert", "thresholds": "75, 90"}
    wrong = browser.post("/budgets/new/?scope=api_key", {**form, "thresholds": "some", "subject": str(caller.key.pk)})
    assert "Write numbers separated by commas" in wrong.content.decode() and not Budget.objects.exists()
    made = browser.post("/budgets/new/?scope=api_key", {**form, "subject": str(caller.key.pk)})
    budget = Budget.objects.get()
    assert made.url == f"/budgets/{budget.pk}/" and budget.subject_id == caller.key.spend_limit_id
    page = browser.get(made.url).content.decode()
    for words in ("Backend", "80 %", "Nearly used up", "What counted last", "Delete this budget?", "test (fbx_"):
        assert words in page, words
    assert "Nearly used up" in browser.get("/budgets/").content.decode()
    changed = browser.post(
        f"/budgets/{budget.pk}/change/", {**form, "amount": "5", "enforcement": "block", "thresholds": ""}
    )
    assert changed.url == f"/budgets/{budget.pk}/"
    assert "Calls are refused" in browser.get(changed.url).content.decode()
    for period in ("daily", "weekly", "total"):
        browser.post(f"/budgets/{budget.pk}/change/", {**form, "period": period})
        assert browser.get(f"/budgets/{budget.pk}/").status_code == 200
    viewer = make_user()
    organization.memberships.create(user=viewer, role="viewer")
    reading = sign_in(viewer, organization)
    assert reading.get(f"/budgets/{budget.pk}/").status_code == 200
    assert reading.post(f"/budgets/{budget.pk}/delete/").status_code == 403
    stranger = sign_in(make_user(), make_customer())
    assert stranger.get(f"/budgets/{budget.pk}/").status_code in (403, 404)
    assert browser.post(f"/budgets/{budget.pk}/delete/").url == "/budgets/" and not SpendLimit.objects.exists()


def test_owners_are_told_once_in_the_application_and_by_letter_in_days_of_their_zone(caller, owner):
    Organization.objects.filter(pk=caller.key.organization_id).update(time_zone="Pacific/Kiritimati")
    caller.ask("POST", "budgets", {"name": "All", "period": "monthly", "amount": "10", "enforcement": "block"})
    use(caller.key.organization, "9.5")
    use(caller.key.organization, "1")
    use(caller.key.organization, "1")
    caller.ask("POST", "credits/holds", {"amount": "1", "key": "a"})
    caller.ask("POST", "credits/holds", {"amount": "1", "key": "b"})
    dispatch_events(at=timezone.now(), limit=500)
    told = Notice.objects.filter(type__startswith="budget.").order_by("created_at", "id")
    assert sorted(notice.type for notice in told) == ["budget.blocked", "budget.exceeded", "budget.threshold_reached"]
    letters = EmailDelivery.objects.filter(recipient=owner.email, subject__contains="budget")
    assert sorted(letter.subject.partition(": ")[2] for letter in letters) == [
        "90% of the budget “All” is used", "The budget “All” has refused a call", "The budget “All” is exceeded",
    ]  # fmt: skip
    assert all(re.search(r"It begins anew on 1 [A-Z][a-z]+ 20\d\d\.", letter.body) for letter in letters)
    browser = sign_in(owner, caller.key.organization)
    assert "The budget “All” is exceeded" in browser.get("/notifications/").content.decode()


def test_a_refused_hold_is_told_of_also_under_an_idempotency_key(caller):
    caller.ask("POST", "budgets", {"name": "All", "period": "total", "amount": "1", "enforcement": "block"})
    for _ in range(2):
        status, refused = caller.ask("POST", "credits/holds", {"amount": "2", "key": "a"}, idempotency_key="once")
        assert (status, refused["code"]) == (402, "budget_exceeded")
    assert DomainEvent.objects.filter(type="budget.blocked").count() == 1
    assert SpendLimit.objects.get().blocked_at is not None and not Hold.objects.exists()


def test_an_estimate_says_what_budgets_would_have_left(caller):
    load_catalogue(name="managed-credits", at=NOON - timedelta(days=99))
    subscribe(organization_id=caller.key.organization_id, tier_slug="enterprise", at=timezone.now())
    call_command("load_price_seed", verbosity=0)
    organization = caller.key.organization
    _, made = caller.ask(
        "POST", "budgets", {"name": "OpenAI", "scope": "model", "subject": "openai/*", "period": "daily", "amount": "2"}
    )
    caller.ask("POST", "budgets", {"name": "Other", "scope": "tag", "subject": "f=y", "period": "daily", "amount": "2"})
    use(organization, "1.9999", model="openai/gpt-4o-mini")
    body = {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 2000,
        "metadata": {"f": "x"},
    }
    status, told = caller.ask("POST", "metering/estimate", body)
    assert status == 200, told
    [room] = told["budgets"]
    assert (room["id"], room["remaining"], room["covers_worst_case"]) == (made["id"], "0.0001", False)
    assert usd(room["after_likely"]) == usd("0.0001") - usd(told["cost"]["likely"]["charge"])
    assert usd(room["after_worst"]) == usd("0.0001") - usd(told["cost"]["worst"]["charge"])


def test_the_audit_and_the_demo(caller):
    organization = caller.key.organization
    for number in range(8):
        use(organization, "3", model="openai/gpt-4o" if number % 2 else "")
    Organization.objects.filter(pk=organization.pk).update(name="Northwind Research")
    made = make_budgets(at=timezone.now())
    amounts = [("monthly", usd("38.75")), ("monthly", usd("13")), ("daily", usd("68.75"))]
    assert [(budget.period, budget.amount) for budget in made] == amounts
    assert UsageEvent.objects.count() == 8
    said = StringIO()
    call_command("audit_budgets", organization=organization.pk, stdout=said)
    assert said.getvalue().startswith("ok") and audit_windows() == 0
    with connection.cursor() as cursor:
        cursor.execute("UPDATE credits_spendlimit SET spent = spent + 1")
    with pytest.raises(CommandError, match="3 differences"):
        call_command("audit_budgets", json=True, stdout=StringIO())
    assert audit_windows() == 3 and DomainEvent.objects.filter(type="budget.window_differs").count() == 3

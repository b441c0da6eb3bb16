"""The tiers API: compare, subscription, switch, trial, cancel, reactivate."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts.scopes import Scope
from outbox.models import DomainEvent
from payments.models import Payment
from tests.api.caller import Caller
from tests.builders import make_customer
from tests.payments.building import with_card
from tests.tiers.plans import ME, balance
from tiers.catalogue import MANAGED_CREDITS, PROMPT_LAB, load_catalogue
from tiers.models import Subscription, Tier, TierChange
from tiers.querysets import forget_terms
from tiers.services import new_version

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def catalogue(settings, monkeypatch):
    monkeypatch.setattr("openrouter.tasks.soon", lambda *_: None)
    settings.PAYMENT_PROVIDER = "sandbox"
    load_catalogue(name=MANAGED_CREDITS, at=now())
    forget_terms()


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def organization(catalogue):
    return make_customer(at=now() - timedelta(days=3))


@pytest.fixture
def caller(organization):
    return Caller(organization, at=now())


def paying(slug, **fields):
    """A customer in the middle of a paid month."""
    organization = make_customer(at=now() - timedelta(days=10))
    Subscription.objects.filter(organization=organization).delete()
    Subscription.objects.begin(
        organization=organization,
        tier=Tier.objects.get(slug=slug),
        at=now() - timedelta(days=10),
        collection="automatic",
        **fields,
    )
    return organization


# ---------------------------------------------------------------- compare


def test_anybody_may_read_the_matrix_in_order_and_in_words():
    load_catalogue(name=PROMPT_LAB, at=now())
    answer = Client().get("/api/v1/tiers/compare?catalogue=prompt-lab").json()
    assert [(tier["name"], tier["monthly_price"]) for tier in answer["data"]] == [
        ("Free", "0"), ("Teams", "5"), ("Enterprise", "27")]  # fmt: skip
    assert [(row["name"], *(cell["text"] for cell in row["cells"])) for row in answer["matrix"]] == [
        ("Token preview", "Basic", "Full", "Full"),
        ("Cost tracking", "Limited", "Detailed", "Detailed"),
        ("Budget limits", "Not included", "Monthly", "Daily + Monthly"),
        (
            "Budgets for",
            "Not included",
            "Organization + API key + Model + Tag",
            "Organization + Team + Member + API key + Model + Tag",
        ),
        ("Analytics", "7 days", "90 days", "Unlimited"),
        ("Dashboards", "Basic", "Personal", "Team + Personal"),
        ("Optimization", "Tips", "Recommendations", "AI-powered"),
        ("Exports", "Not included", "CSV", "CSV + PDF"),
        ("Scheduled reports", "Not included", "Not included", "PDF"),
        ("Team management", "Not included", "Not included", "Included"),
        ("API access", "Not included", "Not included", "Full API"),
    ]
    teams = answer["data"][1]
    assert [feature["key"] for feature in teams["features"]] == [row["key"] for row in answer["matrix"]]
    assert [cell["included"] for cell in answer["matrix"][7]["cells"]] == [False, True, True]


def test_both_catalogues_stand_beside_each_other():
    load_catalogue(name=PROMPT_LAB, at=now())
    slugs = [tier["slug"] for tier in Client().get("/api/v1/tiers/compare").json()["data"]]
    assert slugs == ["free", "starter", "professional", "enterprise", "lab-free", "lab-teams", "lab-enterprise"]
    assert Tier.objects.default().slug == "free"


def test_options_say_what_each_gives_and_costs():
    tiers = {tier["slug"]: tier for tier in Client().get("/api/v1/tiers/compare").json()["data"]}
    assert tiers["professional"]["options"] == [
        {
            "slug": "managed",
            "monthly_credit": "50",
            "components": [{"type": "percentage", "percent": "5", "applies_to": "paid"}],
            "byok_allowed": True,
        },
        {"slug": "byok", "monthly_credit": "0", "components": [], "byok_allowed": True},
    ]
    assert [option["slug"] for option in tiers["starter"]["options"]] == ["managed"]


def test_a_version_that_begins_later_is_not_on_offer_yet():
    starter = Tier.objects.get(slug="starter")
    changes = {"monthly_price": Decimal(35)}
    new_version(tier_id=starter.id, changes=changes, at=now(), effective_at=now() + timedelta(days=9), actor=ME)
    tiers = {tier["slug"]: tier for tier in Client().get("/api/v1/tiers/compare").json()["data"]}
    assert (tiers["starter"]["monthly_price"], tiers["starter"]["version"]) == ("30", 1)


# ---------------------------------------------------------------- subscription


def test_a_new_customer_is_on_the_free_tier_and_may_try_a_better_one(caller, organization):
    status, body = caller.ask("GET", "tiers/subscription")
    assert (status, body["tier"]["slug"], body["status"], body["price"]) == (200, "free", "active", "0")
    assert (body["collection"], body["trial_available"], body["pending"], body["lent"]) == ("none", True, None, None)
    assert body["period"]["index"] == 0 and body["period"]["ends_at"] > body["period"]["starts_at"]
    assert body["organization_id"] == str(organization.id)


def test_without_a_subscription_the_default_tier_is_shown(caller, organization):
    Subscription.objects.filter(organization=organization).delete()
    status, body = caller.ask("GET", "tiers/subscription")
    assert (status, body["tier"]["slug"], body["id"], body["period"]) == (200, "free", None, None)


# ---------------------------------------------------------------- switch


def test_a_dry_run_computes_and_writes_nothing(caller, organization):
    events = DomainEvent.objects.count()
    status, body = caller.ask("POST", "tiers/switch", {"tier": "starter", "dry_run": True})
    assert (status, body["status"], body["id"], body["payment"]) == (200, "preview", None, None)
    assert (body["kind"], body["amount"], body["credit"], body["takes_effect"]) == ("upgrade", "30", "30", "when_paid")
    assert body["from"] == {"tier": "free", "version": 1, "option": "managed"}
    assert not TierChange.objects.exists() and not Payment.objects.exists()
    assert DomainEvent.objects.count() == events


def test_a_switch_answers_with_the_page_to_pay_on(caller, organization):
    status, body = caller.ask("POST", "tiers/switch", {"tier": "starter"})
    assert (status, body["status"]) == (200, "awaiting_payment")
    assert body["payment"]["status"] == "open" and body["payment"]["checkout_url"].startswith("http")
    shown = caller.ask("GET", "tiers/subscription")[1]
    assert (shown["tier"]["slug"], shown["pending"]["tier"], shown["pending"]["id"]) == ("free", "starter", body["id"])


def test_with_a_saved_card_the_tier_is_there_at_once():
    organization = paying("starter")
    with_card(organization)
    status, body = Caller(organization, at=now()).ask("POST", "tiers/switch", {"tier": "professional"})
    assert (status, body["status"], body["payment"]["status"]) == (200, "applied", "succeeded")
    change = TierChange.objects.get()
    assert balance(organization) == change.credit > 0
    # The price and the credit differ by the same 20 USD a month.
    assert change.amount == round(change.credit, 2)


def test_a_card_that_is_declined_leaves_everything_as_it_was():
    organization = paying("starter")
    with_card(organization, "test_card_later")
    status, body = Caller(organization, at=now()).ask("POST", "tiers/switch", {"tier": "professional"})
    assert (status, body["status"], body["payment"]["status"]) == (200, "failed", "failed")
    assert (Subscription.objects.open().get(organization=organization).tier.slug, balance(organization)) == (
        "starter",
        0,
    )


def test_the_same_idempotency_key_switches_once(caller):
    first = caller.send("POST", "tiers/switch", {"tier": "starter"}, Idempotency_Key="k1")
    again = caller.send("POST", "tiers/switch", {"tier": "starter"}, Idempotency_Key="k1")
    assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
    assert (TierChange.objects.count(), Payment.objects.count()) == (1, 1)
    other = caller.ask("POST", "tiers/switch", {"tier": "enterprise"}, Idempotency_Key="k1")
    assert (other[0], other[1]["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"tier": "gold"}, 404, "unknown_tier"),
        ({"tier": "starter", "option": "byok"}, 400, "unknown_option"),
        ({"tier": "free"}, 409, "already_on_tier"),
        ({"tier": "secret"}, 403, "tier_not_offered"),
        ({}, 400, "invalid_request"),
        ({"tier": "starter", "plan": "x"}, 400, "invalid_request"),
        ({"tier": 5, "dry_run": "maybe"}, 400, "invalid_request"),
        ({"tier": "x" * 41}, 400, "invalid_request"),
        (["starter"], 400, "invalid_request"),
    ],
)
def test_what_cannot_be_is_a_coded_refusal_and_moves_nothing(caller, body, status, code):
    Tier.objects.create(slug="secret", name="Secret", monthly_price=1, is_public=False)
    for dry_run in (False, True):
        asked = {**body, "dry_run": True} if dry_run and isinstance(body, dict) and "dry_run" not in body else body
        found = caller.ask("POST", "tiers/switch", asked)
        assert (found[0], found[1]["code"]) == (status, code)
    assert not TierChange.objects.exists() and not Payment.objects.exists()


def test_only_who_manages_the_organization_may_switch(organization):
    caller = Caller(organization, at=now(), scopes=(Scope.CREDITS_READ, Scope.CREDITS_WRITE))
    for path in ("switch", "trial", "cancel", "reactivate"):
        assert caller.ask("POST", f"tiers/{path}", {"tier": "starter"})[1]["code"] == "insufficient_scope"
    assert caller.ask("GET", "tiers/subscription")[0] == 200


# ---------------------------------------------------------------- trial, cancel, reactivate


def test_a_trial_is_started_once(caller):
    status, body = caller.ask("POST", "tiers/trial", {"tier": "professional", "option": "byok"})
    assert (status, body["status"], body["option"], body["trial_available"]) == (200, "trialing", "byok", False)
    assert body["period"]["index"] == -1 and body["trial_ends_at"] == body["period"]["ends_at"]
    again = caller.ask("POST", "tiers/trial", {"tier": "starter"})
    assert (again[0], again[1]["code"]) == (409, "no_trial")


def test_cancel_and_reactivate():
    caller = Caller(paying("starter"), at=now())
    assert caller.ask("POST", "tiers/reactivate")[1]["code"] == "nothing_to_reactivate"
    assert caller.ask("POST", "tiers/cancel", {"now": True})[0] == 400
    status, body = caller.ask("POST", "tiers/cancel")
    assert (status, body["cancel_at_period_end"], body["tier"]["slug"]) == (200, True, "starter")
    status, body = caller.ask("POST", "tiers/reactivate", {})
    assert (status, body["cancel_at_period_end"]) == (200, False)


def test_a_downgrade_is_shown_as_pending():
    caller = Caller(paying("enterprise"), at=now())
    assert caller.ask("POST", "tiers/switch", {"tier": "starter"})[1]["status"] == "scheduled"
    pending = caller.ask("GET", "tiers/subscription")[1]["pending"]
    assert (pending["kind"], pending["tier"], pending["status"]) == ("downgrade", "starter", "scheduled")


def test_a_free_customer_has_nothing_to_cancel(caller):
    assert caller.ask("POST", "tiers/cancel")[1]["code"] == "nothing_to_cancel"

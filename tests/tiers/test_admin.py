"""The back office of tiers: versions with a date, and every act on a subscription with a reason."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import DecimalField, IntegerField

from outbox.models import DomainEvent
from payments.models import Payment
from tests.builders import make_user, sign_in
from tests.tiers.plans import balance, make_plans, now_on, put_on
from tiers.models import Subscription, Tier, TierChange

pytestmark = pytest.mark.django_db


@pytest.fixture
def site():
    return sign_in(make_user(email="boss@example.com", is_staff=True, is_superuser=True))


@pytest.fixture(autouse=True)
def plans():
    return make_plans()


def now():
    return datetime.now(UTC)


def act(site, organization, name, confirm="1", **fields):
    row = now_on(organization)
    return site.post(
        f"/admin/tiers/subscription/{row.pk}/{name}/",
        {"reason": "They asked", **({"confirm": confirm} if confirm else {}), **fields},
        follow=True,
    )


def told(response):
    return [str(message) for message in response.context["messages"]]


def customer(slug="small", collection="automatic", **fields):
    return put_on(slug, collection=collection, at=now() - timedelta(days=10), **fields)


# ---------------------------------------------------------------- subscriptions


def test_a_switch_is_shown_before_it_is_confirmed(site):
    organization = customer(collection="manual")
    shown = act(site, organization, "switch", confirm=None, tier="large")
    assert shown.context["preview"].amount > 0 and not TierChange.objects.exists()
    done = act(site, organization, "switch", tier="large")
    assert told(done) == ["Switch to Large: applied."]
    change = TierChange.objects.get()
    assert (change.actor, change.derivation["reason"]) == ("boss@example.com", "They asked")
    assert (now_on(organization).tier.slug, balance(organization)) == ("large", change.credit)


def test_a_refusal_is_told_and_moves_nothing(site):
    organization = customer()
    shown = act(site, organization, "switch", tier="small")
    assert "on Small already" in shown.content.decode()
    assert not TierChange.objects.exists() and not Payment.objects.exists()


@pytest.mark.parametrize("name", ["switch", "give", "trial", "pays", "cancel", "reactivate"])
def test_nothing_is_done_without_a_reason(site, name):
    organization = customer()
    answer = act(site, organization, name, tier="large", days="3", collection="manual", when="now", reason=" ")
    assert answer.context["form"].errors["reason"]
    assert now_on(organization).tier.slug == "small" and not DomainEvent.objects.exists()


def test_a_tier_can_be_given(site):
    organization = customer("free", "none")
    assert told(act(site, organization, "give", tier="pro", option="byok"))[0].endswith("is on Pro now.")
    now = now_on(organization)
    assert (now.tier.slug, now.option, now.collection, Payment.objects.count()) == ("pro", "byok", "none", 0)
    event = DomainEvent.objects.get(type="tier.changed")
    assert (event.actor_label, event.data["reason"]) == ("boss@example.com", "They asked")


def test_cancel_reactivate_and_end_at_once(site):
    organization = customer()
    act(site, organization, "cancel", when="end")
    assert now_on(organization).cancel_at_period_end
    act(site, organization, "reactivate")
    assert not now_on(organization).cancel_at_period_end
    act(site, organization, "cancel", when="now")
    assert now_on(organization).tier.slug == "free"
    reasons = [event.data.get("reason") for event in DomainEvent.objects.filter(type__startswith="subscription.")]
    assert reasons == ["They asked"] * 3


def test_a_trial_of_any_length_can_be_given_again(site):
    organization = customer("free", "none")
    act(site, organization, "trial", tier="pro", days="30")
    assert now_on(organization).status == "trialing"
    act(site, organization, "cancel", when="now")
    act(site, organization, "trial", tier="pro", days="3")
    assert (now_on(organization).trial_ends_at - now()).days == 2


def test_how_later_months_are_paid(site):
    organization = customer()
    assert told(act(site, organization, "pays", collection="manual")) == ["Later months: manual."]
    assert now_on(organization).collection == "manual"


def test_the_page_offers_what_makes_sense_and_shows_what_happened(site):
    organization = customer()
    act(site, organization, "switch", tier="large")
    page = site.get(f"/admin/tiers/subscription/{now_on(organization).pk}/change/")
    assert [label for label, _ in page.context["acts"]] == [
        "Switch as the customer would",
        "Put on a tier without a charge",
        "Change how it is paid",
        "Cancel",
    ]
    text = page.content.decode()
    assert "Switch to Large" in text and "boss@example.com" in text
    ended = Subscription.objects.begin(
        organization=customer(), tier=Tier.objects.get(slug="large"), at=now(), status="ended", ended_at=now()
    )
    assert site.get(f"/admin/tiers/subscription/{ended.pk}/change/").context["acts"] == []


def test_who_may_only_look_is_offered_nothing():
    organization = customer()
    from django.contrib.auth.models import Group

    helper = make_user(is_staff=True)
    helper.groups.set(Group.objects.filter(name="support"))
    client = sign_in(helper)
    assert client.get(f"/admin/tiers/subscription/{now_on(organization).pk}/change/").context["acts"] == []
    assert act(client, organization, "cancel", when="now").status_code == 403
    assert now_on(organization).tier.slug == "small"


# ---------------------------------------------------------------- tiers


def edit(site, tier, **changes):
    path = f"/admin/tiers/tier/{tier.pk}/change/"
    form = site.get(path).context["adminform"].form
    fields = {name: value for name, value in form.initial.items() if value is not False and value not in (None, "")}
    for name in ("components", "options", "entitlements", "model_ids"):
        fields[name] = ""
    return site.post(path, {**fields, "reason": "Costs rose", **changes}, follow=True)


def test_a_tier_is_made_and_given_for_a_reason_in_the_operators_name(site):
    path, model = "/admin/tiers/tier/add/", Tier()
    numbers = [field.name for field in Tier._meta.fields if isinstance(field, (IntegerField, DecimalField))]
    fields = {name: getattr(model, name) for name in numbers if getattr(model, name) is not None}
    fields |= {"slug": "gold", "name": "Gold", "monthly_price": "7", "model_access": "all"}
    assert "reason" in site.post(path, fields).context["adminform"].form.errors
    assert not Tier.objects.filter(slug="gold").exists()
    assert site.post(path, {**fields, "reason": "A dearer one"}).status_code == 302
    made = Tier.objects.get(slug="gold")
    organization = customer()
    given = {"organization": organization.pk, "tier": made.pk, "option": ""}
    for odd in ("-1", "null", "\x00"):
        again = site.post("/admin/tiers/subscription/add/", {**given, "organization": odd})
        assert "organization" in again.context["adminform"].form.errors
    assert "reason" in site.post("/admin/tiers/subscription/add/", given).context["adminform"].form.errors
    assert site.post("/admin/tiers/subscription/add/", {**given, "reason": "A gift"}).status_code == 302
    assert now_on(organization).tier == made
    told = DomainEvent.objects.filter(type__in=("tier.created", "tier.changed")).order_by("-created_at")[:2]
    assert {(each.data["reason"], each.actor_label) for each in told} == {
        ("A gift", "boss@example.com"),
        ("A dearer one", "boss@example.com"),
    }


def test_a_new_version_begins_on_its_date_and_can_be_withdrawn(site):
    small = Tier.objects.get(slug="small")
    begins = now() + timedelta(days=3)
    edit(site, small, monthly_price="35", begins_at=f"{begins:%Y-%m-%dT%H:%M:%S}")
    later = Tier.objects.get(slug="small", version=2)
    assert (later.monthly_price, later.effective_at) == (35, begins.replace(microsecond=0))
    assert Tier.objects.current().get(slug="small") == small
    assert DomainEvent.objects.get(type="tier.versioned").data["reason"] == "Costs rose"
    assert "from " in site.get("/admin/tiers/tier/?q=small").content.decode()
    page = site.get(f"/admin/tiers/tier/{later.pk}/change/")
    assert page.context["is_scheduled"] and "Withdraw this version" in page.content.decode()
    address = f"/admin/tiers/tier/{later.pk}/withdraw/"
    assert "required" in site.post(address, {"reason": " "}).content.decode()
    assert Tier.objects.filter(slug="small", version=2).exists()
    answer = site.post(address, {"reason": "Costs fell"})
    assert answer.headers["Location"] == f"/admin/tiers/tier/{small.pk}/change/"
    assert DomainEvent.objects.get(type="tier.version_withdrawn").data["reason"] == "Costs fell"
    assert not Tier.objects.filter(slug="small", version=2).exists()
    assert Tier.objects.get(slug="small").retired_at is None


def test_a_version_in_force_cannot_be_withdrawn(site):
    small = Tier.objects.get(slug="small")
    answer = site.post(f"/admin/tiers/tier/{small.pk}/withdraw/", {"reason": "x"})
    assert "Only a version that has not begun can be withdrawn." in answer.content.decode()
    assert Tier.objects.current().get(slug="small") == small


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("options", '[{"slug": "gold"}]', "An option is one of"),
        ("entitlements", '{"teams": "yes"}', "teams is true or false."),
        ("components", '{"type": "tax"}', "Give a list of objects."),
        ("reason", "", "This field is required."),
        ("monthly_price", "-1", ""),
    ],
)
def test_what_makes_no_sense_is_said_beside_its_field(site, field, value, words):
    answer = edit(site, Tier.objects.get(slug="small"), **{field: value, "name": "Other"})
    if words:
        assert words in str(answer.context["adminform"].form.errors[field])
    assert not Tier.objects.filter(version=2).exists()


def test_a_price_in_fractions_of_a_cent_is_refused(site):
    answer = edit(site, Tier.objects.get(slug="small"), monthly_price="9.999")
    assert "whole cents" in answer.content.decode()
    assert not Tier.objects.filter(version=2).exists()

"""Support reads and tries again; billing moves money and edits what is sold; nobody else does anything."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.management import call_command

from accounts.models import User
from config.roles import BILLING, RULES, SUPPORT, apply_rules, codes_of
from credits.models import CreditAccount, Hold, LedgerEntry, Lot
from credits.operations import MovementBatch
from metering.models import ModelPrice
from outbox.models import DomainEvent, TaskState
from tests.admin.furniture import shown_models
from tests.admin.pages import Page, pages
from tests.admin.test_whole import POST_ONLY, everything
from tests.builders import make_user, sign_in

pytestmark = pytest.mark.django_db

# What a group may do beside looking: model.page or model:action. What is not here is refused, whatever is added later.
RETRIES = {
    "outbox.DomainEvent:retry",
    "outbox.EmailDelivery:retry",
    "openrouter.ProviderAccount:sync_now",
    "openrouter.ProviderAccount:try_now",
    "openrouter.ByokCredential:verify",
    "outbox.WebhookEndpoint:switch_on",
    "outbox.WebhookEndpoint:switch_off",
    "outbox.WebhookMessage:retry",
}
MONEY = {
    "credits.CreditAccount.grant",
    "credits.CreditAccount.deduct",
    "credits.CreditAccount.adjust",
    "credits.LedgerEntry.refund",
    "credits.MovementBatch.add",
    "credits.MovementBatch.confirm",
    "credits.MovementBatch.retry",
    "credits.MovementBatch.discard",
    "payments.Payment.mark_paid",
    "payments.Payment.refund",
    "payments.Payment.leave_paid",
    "payments.Payment.cancel",
    "payments.IncomingEvent.replay",
}
SOLD = {
    "openrouter.RoutingRule:delete_selected",
    "openrouter.RoutingRule.delete",
    "openrouter.RoutingRule.add",
    "metering.Budget.delete",
    "metering.Budget:delete_selected",
    "metering.Rerating.add",
    "metering.Rerating.apply",
    "metering.Rerating.reverse",
    "metering.Meter.add",
    "metering.Meter:archive",
    "metering.Meter:bring_back",
    "metering.LanguageModel.price",
    "metering.LanguageModel.follow",
    "tiers.Tier.add",
    "tiers.Tier.withdraw",
    "tiers.Tier.move",
    "tiers.Subscription.add",
    "tiers.Subscription.switch",
    "tiers.Subscription.give",
    "tiers.Subscription.trial",
    "tiers.Subscription.pays",
    "tiers.Subscription.cancel",
    "tiers.Subscription.reactivate",
    "coupons.Coupon.add",
    "coupons.Coupon.limits",
    "coupons.Coupon.end",
    "coupons.CouponBatch.add",
    "coupons.CouponBatch.codes",
    "coupons.CouponBatch.end",
}
COMPUTED_AGAIN = {"metering.UsageEvent:compute_again", "advice.WhatIfRun.add"}  # look, and change nothing
COMMON = RETRIES | COMPUTED_AGAIN | {"accounts.Organization.impersonate"}
MAY: dict[str, set[str]] = {SUPPORT: COMMON, BILLING: COMMON | MONEY | SOLD}
# What everybody who may look at a model's rows may also see.
LOOKING = {"changelist", "change", "history", "result", "template", "statistics", "pdf", "csv"}
# A superuser's alone: not even to be looked at.
HIDDEN = {"auth.Group"}


def member_of(*groups: str) -> User:
    person = make_user(is_staff=True)
    person.groups.set(Group.objects.filter(name__in=groups))
    return person


def name_of(page: Page) -> str:
    return f"{page.model._meta.label}.{page.kind}"


def test_every_model_that_is_shown_has_a_rule():
    """Decide in config/roles.py who may see and do what with a model that is new here."""
    assert {model._meta.label for model in shown_models()} == {label for label in RULES if is_installed(label)}


def is_installed(label: str) -> bool:
    return label.split(".")[0] in apps.app_configs


def test_the_groups_exist_with_exactly_these_permissions_after_every_migrate(furnished):
    own = Group.objects.exclude(name__startswith="Group ")  # the furniture's
    assert set(own.values_list("name", flat=True)) == {SUPPORT, BILLING}
    for name in (SUPPORT, BILLING):
        group = Group.objects.get(name=name)
        found = set(group.permissions.values_list("content_type__app_label", "codename"))
        assert found == codes_of(name) and found


def test_migrating_again_takes_back_what_was_added_by_hand_and_touches_no_other_group(furnished):
    support, billing = Group.objects.get(name=SUPPORT), Group.objects.get(name=BILLING)
    own = Group.objects.create(name="own")
    own.permissions.set(billing.permissions.all())
    support.permissions.set(billing.permissions.all())
    person = member_of(SUPPORT)
    call_command("migrate", verbosity=0)
    assert set(support.permissions.values_list("content_type__app_label", "codename")) == codes_of(SUPPORT)
    assert own.permissions.count() == billing.permissions.count() and person.groups.get() == support
    apply_rules()
    assert Group.objects.count() == 4


@pytest.mark.parametrize("group", [SUPPORT, BILLING])
@pytest.mark.usefixtures("without_the_list_of_all_tables")
def test_each_page_opens_or_refuses_as_the_group_may(furnished, group):
    client = sign_in(member_of(group))
    wrong = []
    for page in pages():
        looks = page.kind in LOOKING and page.model._meta.label not in HIDDEN
        expected = 200 if looks or name_of(page) in MAY[group] else 403
        if expected == 200 and page.kind in POST_ONLY:
            expected = 405
        if (status := client.get(page.address).status_code) != expected:
            wrong.append((str(page), status, expected))
    assert wrong == []


@pytest.mark.parametrize("group", [SUPPORT, BILLING])
def test_each_action_is_offered_to_whom_it_may_be(furnished, group):
    request = _Asking(member_of(group))
    offered = {
        f"{model._meta.label}:{action}"
        for model, site in admin.site._registry.items()
        for action in site.get_actions(request)
    }
    assert offered == {each for each in MAY[group] if ":" in each}


class _Asking:
    def __init__(self, user: User) -> None:
        self.user, self.GET, self.method = user, {}, "GET"


def money() -> list[list[dict]]:
    tables = (CreditAccount, Lot, LedgerEntry, Hold, ModelPrice, MovementBatch)
    return [list(table._base_manager.order_by("pk").values()) for table in tables]


@pytest.mark.usefixtures("without_the_list_of_all_tables")
def test_support_moves_nothing_whatever_it_sends(furnished, monkeypatch):
    client = sign_in(member_of(SUPPORT))
    before = everything()
    for page in pages():
        label = page.model._meta.label
        row = str(page.model._base_manager.first().pk)
        form = {"post": "yes", "confirm": "1", "amount": "1", "reason": "x", "kind": "bonus", "key": "k"}
        if page.kind != "changelist":
            client.post(page.address, form)
            continue
        for action in ("delete_selected", *(str(each) for each in admin.site._registry[page.model].actions or ())):
            if f"{label}:{action}" not in RETRIES:
                client.post(page.address, {"action": action, "_selected_action": [row], **form})
    assert everything() == before


def test_support_tries_again_and_no_money_moves(furnished):
    client = sign_in(member_of(SUPPORT))
    DomainEvent.objects.update(attempts=40, dispatched_at=None)
    before = money()
    for each in sorted(RETRIES):
        label, action = each.split(":")
        model = apps.get_model(label)
        address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        row = str(model._base_manager.first().pk)
        assert client.post(address, {"action": action, "_selected_action": [row]}).status_code == 302, each
    news = DomainEvent.objects.filter(attempts=0).exclude(type__startswith="webhook.")  # switching one is told anew
    assert news.count() == 1 and money() == before


def test_support_and_billing_run_a_job_and_others_do_not(monkeypatch):
    sent = []
    monkeypatch.setattr("outbox.jobs.current_app.send_task", lambda name, **_: sent.append(name))
    for person, answer in ((member_of(), 403), (member_of(SUPPORT), 302), (member_of(BILLING), 302)):
        TaskState.objects.update(requested_at=None)
        status = sign_in(person).post("/admin/outbox/taskstate/", {"run": "expire lots"}).status_code
        assert status == answer
    assert sent == ["credits.tasks.expire_lots"] * 2
    reader = make_user(is_staff=True)
    reader.user_permissions.set(Group.objects.get(name=SUPPORT).permissions.exclude(codename="retry"))
    client = sign_in(reader)
    assert "Run now" not in client.get("/admin/outbox/taskstate/").content.decode()
    assert client.post("/admin/outbox/taskstate/", {"run": "expire lots"}).status_code == 403


def test_billing_grants_deducts_and_confirms_a_file(furnished):
    client = sign_in(member_of(BILLING))
    account = CreditAccount.objects.filter(balance__gt=5).first()
    before = account.balance
    for page, amount in (("grant", "2"), ("deduct", "0.5"), ("adjust", "-0.25")):
        form = {"amount": amount, "reason": "x", "kind": "bonus", "key": f"k {page}", "confirm": "1"}
        client.post(f"/admin/credits/creditaccount/{account.pk}/{page}/", form)
    account.refresh_from_db()
    assert str(account.balance - before) == "1.250000000000"
    batch = MovementBatch.objects.get()
    client.post(f"/admin/credits/movementbatch/{batch.pk}/confirm/")
    batch.refresh_from_db()
    assert batch.status == "running" and batch.confirmed_by == User.objects.get(groups__name=BILLING).email


@pytest.mark.parametrize("group", [SUPPORT, BILLING])
def test_nobody_below_a_superuser_gives_powers_or_reads_the_key_of_a_customer(furnished, group):
    person = member_of(group)
    client = sign_in(person)
    for page in (
        "accounts/user/add/",
        "auth/group/add/",
        "accounts/apikey/add/",
        f"accounts/user/{person.pk}/password/",
    ):
        assert client.get(f"/admin/{page}").status_code == 403, page
    client.post(f"/admin/accounts/user/{person.pk}/change/", {"email": person.email, "is_superuser": "on"})
    person.refresh_from_db()
    assert not person.is_superuser


def test_the_home_page_shows_each_group_what_it_may_use(furnished):
    support, billing, nobody = (
        sign_in(person).get("/admin/").content.decode()
        for person in (member_of(SUPPORT), member_of(BILLING), member_of())
    )
    for html in (support, billing):
        assert "Unspent credit" in html and "/admin/outbox/taskstate/" in html
    assert "/admin/credits/movementbatch/add/" in billing and "/admin/credits/movementbatch/add/" not in support
    assert "/admin/tiers/tier/add/" in billing and "/admin/tiers/tier/add/" not in support
    assert "Unspent credit" not in nobody and "permission to view or edit anything" in nobody


def test_no_two_groups_of_the_index_share_a_name(furnished):
    request = _Asking(make_user(is_staff=True, is_superuser=True))
    request.path = "/admin/"
    names = [str(group["name"]) for group in admin.site.get_app_list(request)]
    assert len(names) == len(set(names))
    assert not [name for name in names if name in {"Accounts", "Authentication and Authorization"}]
    shown = [model["object_name"] for group in admin.site.get_app_list(request) for model in group["models"]]
    assert sorted(shown) == sorted(model.__name__ for model in shown_models())
    apps_of_index = {model._meta.app_config.verbose_name for model in shown_models()}
    assert len(apps_of_index) == len({model._meta.app_label for model in shown_models()})

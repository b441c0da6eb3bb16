"""The whole back office, page by page from its own list: it opens, refuses, keeps secrets, moves nothing by itself."""

import re
from collections.abc import Callable
from itertools import cycle, islice

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from metering.models import UsageEvent
from tests.admin.furniture import furnish, shown_models
from tests.admin.pages import Page, pages
from tests.builders import make_user, sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("without_the_list_of_all_tables")]

# Written by services and by the database alone: nobody adds, changes or deletes their rows here.
RECORDS = {
    "accounts": {"Impersonation"},
    "advice": {"Recommendation", "RecommendationReview", "WrittenAdvice"},
    "billing": {
        *("Customer", "CustomerMeter", "MeterCredit", "Product", "Benefit", "Order", "CustomerSubscription"),
        *("Checkout", "Charge", "Refund"),
    },
    "credits": {"CreditAccount", "LedgerEntry", "Lot", "Hold", "SpendLimit", "Statement"},
    "coupons": {"Redemption"},
    "metering": {"TokenCalibration", "UsageEvent", "ModelPrice"},
    "openrouter": {"Attempt", "KeyReading", "ProviderBalance", "ReconciliationRun"},
    "outbox": {"DomainEvent", "EmailDelivery", "TaskRun", "TaskState"}
    | {"WebhookEndpoint", "WebhookMessage", "WebhookDelivery"},
    "payments": {"Payment", "IncomingEvent", "PaymentMethod", "Discount", "AutoTopUp", "Dispute"},
}
# Drop-downs of what operators make themselves.
_FEW = {"groups", "tier"}
POST_ONLY = {"confirm", "retry", "discard", "apply", "reverse"}
# Pages of a name of their own that only show something.
SHOWING = {"pdf", "result", "statistics", "template", "csv"}
# Forms that whoever may look may use: a question, which moves nothing.
ASKING = {"/admin/advice/whatifrun/add/"}
# What looking at pages writes; everything else must be as before.
_TRACES = {"sessions.Session", "axes.AccessLog", "axes.AccessAttempt", "axes.AccessFailureLog"}


_HEADINGS = re.compile(r"<title>.*?</title>|<h1>.*?</h1>|class=\"breadcrumbs\">.*?</(?:ol|div)>", re.DOTALL)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-")
_STORED_AMOUNT = re.compile(r"\d\.\d{12}\b")


def unreadable(html: str) -> list[str]:
    """Ids where a name belongs, and amounts as they are stored where a person reads."""
    headings = re.sub(r"<[^>]*>", " ", " ".join(_HEADINGS.findall(html)))
    text = re.sub(r"<(script|style|textarea).*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL)
    return [*_ID.findall(headings), *_STORED_AMOUNT.findall(text)]


def make_boss(**fields) -> User:
    return make_user(is_staff=True, is_superuser=True, **fields)


def is_record(page: Page) -> bool:
    return page.model.__name__ in RECORDS.get(page.model._meta.app_label, ())


def may_open(page: Page, client_user: User) -> bool:
    """Whether the site itself says that this page opens."""
    site, request = admin.site._registry[page.model], _Asking(client_user)
    row = page.model._base_manager.order_by("pk").first()
    checks: dict[str, Callable[[], bool]] = {
        "add": lambda: site.has_add_permission(request),
        "delete": lambda: site.has_delete_permission(request, row),
    }
    return checks.get(page.kind, lambda: True)()


class _Asking:
    """As much of a request as permissions look at."""

    def __init__(self, user: User) -> None:
        self.user, self.GET, self.method = user, {}, "GET"


def everything() -> dict[str, list[dict]]:
    """Every row of the database that pages could have written."""
    models = [model for model in apps.get_models() if model._meta.label not in _TRACES and model._meta.managed]
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in models}


def test_every_page_opens_for_whoever_may_do_all_and_looking_moves_nothing_and_shows_no_secret():
    secrets = [*furnish(2), "mistyped secret"]
    Client().post("/accounts/login/", {"login": User.objects.first().email, "password": "mistyped secret"})
    boss = make_boss()
    client = sign_in(boss)
    client.get("/admin/")
    before, odd = everything(), {}
    for page in pages():
        answer = client.get(page.address)
        expected = 405 if page.kind in POST_ONLY else 200 if may_open(page, boss) else 403
        assert answer.status_code == expected, page
        html = answer.getvalue().decode(errors="replace")
        assert not [secret for secret in secrets if secret in html], page
        if found := unreadable(html):
            odd[page.address] = found
        if page.kind == "changelist":
            client.head(page.address)
    for address in ("/admin/", *sorted({f"/admin/{page.model._meta.app_label}/" for page in pages()})):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert not [secret for secret in secrets if secret in answer.content.decode()], address
    assert (everything(), odd) == (before, {})


def test_nonsense_is_answered_and_never_breaks_a_page(furnished):
    client = sign_in(make_boss())
    strange = cycle(["nobody", "0", "%2e%2e", "a_2Fb", "00000000-0000-0000-0000-000000000000"])
    for page in pages():
        base = page.address
        if page.kind == "changelist":
            for query in ("q=%00", "q='%22\\", "o=99.x&all=&_facets=1", "e=1"):
                assert client.get(f"{base}?{query}").status_code == 200, (page, query)
            for query in ("p=-1", "no_such_field=1", "id__in=x"):
                answer = client.get(f"{base}?{query}")
                assert answer.status_code == 200 or answer["Location"] in (f"{base}?e=1", "?e=1"), (page, query)
            for row in islice(strange, 2):  # not all of them for every model: there are many
                assert client.get(f"{base}{row}/change/").status_code in (302, 404), (page, row)
        if page.kind not in ("changelist", "delete"):
            answer = client.post(page.address, {"unheard_of": "\x00", "amount": "NaN", "price": "x"})
            assert answer.status_code in (200, 302, 403, 405), page


def test_strangers_and_customers_are_sent_away(furnished):
    customer = sign_in(User.objects.filter(memberships__isnull=False).first())
    for client in (Client(), customer):
        for page in pages():
            for answer in (client.get(page.address), client.post(page.address, {"post": "yes"})):
                assert answer.status_code == 302 and "/login/" in answer["Location"], page


def test_operators_without_a_permission_see_nothing_and_move_nothing(furnished):
    client = sign_in(make_user(is_staff=True))
    before = everything()
    for page in pages():
        assert client.get(page.address).status_code == 403, page
        assert client.post(page.address, {"post": "yes"}).status_code == 403, page
    assert everything() == before


def test_operators_who_may_only_look_move_nothing(furnished):
    reader = make_user(is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client = sign_in(reader)
    before = everything()
    for page in pages():
        looks = page.kind in {"changelist", "change", "history"} | SHOWING or page.address in ASKING
        assert client.get(page.address).status_code == (200 if looks else 403), page
        if page.kind == "changelist":
            rows = {"_selected_action": [str(page.model._base_manager.first().pk)], "post": "yes"}
            for action in ("delete_selected", *(str(each) for each in admin.site._registry[page.model].actions or ())):
                client.post(page.address, {**rows, "action": action})
        else:
            expected = 200 if page.kind in {"history"} | SHOWING or page.address in ASKING else 403
            assert client.post(page.address, {"post": "yes"}).status_code == expected, page
    assert everything() == before


def test_nothing_moves_without_the_token_of_a_form_of_ours(furnished):
    boss = make_boss()
    client = Client(enforce_csrf_checks=True)
    client.force_login(boss, backend="django.contrib.auth.backends.ModelBackend")
    before = everything()
    for page in pages():
        assert client.post(page.address, {"post": "yes", "confirm": "1"}).status_code == 403, page
    assert everything() == before


def test_records_are_neither_added_nor_changed_nor_deleted_even_by_whoever_may_do_all(furnished):
    client = sign_in(make_boss())
    records = [page for page in pages() if is_record(page)]
    assert {page.model.__name__ for page in records} == set().union(*RECORDS.values())
    before = everything()
    for page in records:
        if page.kind in ("add", "change", "delete"):
            assert client.post(page.address, {"post": "yes"}).status_code == 403, page
        if page.kind == "changelist":
            row = str(page.model._base_manager.first().pk)
            client.post(page.address, {"action": "delete_selected", "_selected_action": [row], "post": "yes"})
    assert everything() == before


def test_secrets_cannot_be_guessed_letter_by_letter(furnished):
    client = sign_in(make_boss())
    for model, column in (("accounts/user", "password"), ("openrouter/provideraccount", "secret")):
        for lookup in ("startswith", "contains", "regex"):
            answer = client.get(f"/admin/{model}/?{column}__{lookup}=a", follow=True)
            assert "cl" not in (answer.context or {}) or "e=1" in answer.request["QUERY_STRING"], (model, lookup)


def test_a_page_costs_the_same_with_two_rows_and_with_five():
    furnish(2 - UsageEvent.objects.count())
    client = sign_in(make_boss())
    addresses = {str(page): page.address for page in pages() if page.kind not in POST_ONLY} | {"home": "/admin/"}
    with transaction.atomic():
        many = costs_with_five(client, addresses)
        transaction.set_rollback(True)
    few = {page: cost_of(client, address) for page, address in addresses.items()}
    # What is remembered for the life of the process was asked for with many rows: those pages once more.
    many |= costs_with_five(client, {page: addresses[page] for page in few if few[page] != many[page]})
    assert {page: (few[page], many[page]) for page in few if few[page] != many[page]} == {}
    assert {page: cost for page, cost in many.items() if cost[0] > 25} == {}


def costs_with_five(client: Client, addresses: dict[str, str]) -> dict[str, tuple[int, int]]:
    furnish(3)
    assert UsageEvent.objects.count() == 5
    return {page: cost_of(client, address) for page, address in addresses.items()}


def cost_of(client: Client, address: str) -> tuple[int, int]:
    """Queries, and choices in drop-downs: one of all customers grows with them, though it is a single query."""
    with CaptureQueriesContext(connection) as queries:
        html = client.get(address).getvalue().decode(errors="replace")
    is_list = 'id="changelist"' in html
    drop_downs = re.findall(r'<select name="(\w+)"(.*?)</select>', html, re.DOTALL) if not is_list else []
    return len(queries), sum(choices.count("<option") for name, choices in drop_downs if name not in _FEW)


def test_every_model_with_money_is_named_a_record_or_written_by_a_service():
    """A model that is added to the books later must be decided upon here."""
    shown = {model for model in shown_models() if model._meta.app_label in RECORDS}
    named = {model for model in shown if model.__name__ in RECORDS[model._meta.app_label]}
    assert {model.__name__ for model in shown - named} == {
        *("Organization", "Membership", "Team", "ApiKey"),  # services of accounts
        "User",  # the sign-in library's form
        "Coupon",  # create_coupon, change_limits, deactivate_coupon
        "CouponBatch",  # generate_batch, deactivate_batch
        "Budget",  # update_budget, delete_budget
        "WhatIfRun",  # start_what_if
        "Rerating",  # try_rerating, apply_rerating, reverse_rerating
        "Meter",  # create_meter, update_meter
        "LanguageModel",  # set_price, follow_provider
        "MovementBatch",  # check_batch, confirm_batch
        "ProviderAccount",  # lifecycle services
        "ByokCredential",  # lifecycle services
        "RoutingRule",  # save_routing_rule, delete_routing_rule
        "ReconciliationDifference",  # explain_difference
    }

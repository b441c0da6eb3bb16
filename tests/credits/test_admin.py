"""Operators' pages of the books: they look at everything, and move money with a reason, a preview and a right to it."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from credits.models import CreditAccount, Hold, LedgerEntry, Lot
from credits.services import HoldRequest, grant_credits, place_hold
from outbox.models import DomainEvent
from tests.builders import NOON, make_call, make_customer, make_user, sign_in, usd

pytestmark = pytest.mark.django_db

MODELS = ("creditaccount", "ledgerentry", "lot", "hold", "spendlimit")


@pytest.fixture
def customer():
    customer = make_customer(owner=make_user(), name="Analytical Engines")
    grant_credits(organization_id=customer.id, amount=usd("20"), kind="bonus", reason="Hello", actor="x", at=NOON)
    return customer


@pytest.fixture
def operator():
    return sign_in(make_user(email="operator@example.com", is_staff=True, is_superuser=True))


def staff(*codenames):
    person = make_user(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return sign_in(person)


def account_page(customer, action=""):
    return f"/admin/credits/creditaccount/{customer.id}/{action}"


def filled(client, path, **fields):
    """The form's fields as a browser would send them: the hidden key too."""
    key = re.search(r'name="key" value="([^"]+)"', client.get(path).content.decode())[1]
    return {"key": key, "reason": "Goodwill", "amount": "5", "kind": "bonus", **fields}


def books(customer):
    account = CreditAccount.objects.get(pk=customer.id)
    return account.balance, LedgerEntry.objects.filter(account=account).count(), DomainEvent.objects.count()


# ---------------------------------------------------------------- looking


@pytest.mark.parametrize("model", MODELS)
def test_the_books_are_listed_and_shown_but_nothing_can_be_typed_into_them(customer, operator, model):
    make_call(customer, "1")
    place_hold(HoldRequest(customer.id, usd("1"), "k", timezone.now() + timedelta(hours=1)), at=timezone.now())
    assert operator.get(f"/admin/credits/{model}/").status_code == 200
    assert operator.get(f"/admin/credits/{model}/add/").status_code == 403
    row = {"creditaccount": CreditAccount, "ledgerentry": LedgerEntry, "lot": Lot, "hold": Hold}.get(model)
    if row is not None:
        path = f"/admin/credits/{model}/{row.objects.order_by('pk').last().pk}"
        assert operator.get(f"{path}/change/").status_code == 200
        assert operator.post(f"{path}/change/", {"amount": "9"}).status_code == 403
        assert operator.post(f"{path}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", MODELS)
def test_lists_search_without_failing_on_any_text(customer, operator, model):
    for text in ("Analytical", str(customer.id), "50%_'\"\\", "\u0000x"):
        assert operator.get(f"/admin/credits/{model}/", {"q": text}).status_code == 200


@pytest.mark.parametrize("rows", [1, 20])
def test_lists_ask_as_much_for_many_rows_as_for_one(operator, django_assert_max_num_queries, rows):
    for _ in range(rows):
        make_call(_funded(), "1")
    for model in ("creditaccount", "ledgerentry", "lot"):
        with django_assert_max_num_queries(8):
            operator.get(f"/admin/credits/{model}/")


def _funded():
    customer = make_customer(owner=make_user())
    grant_credits(organization_id=customer.id, amount=usd("20"), kind="bonus", reason="Hello", actor="x", at=NOON)
    return customer


# ---------------------------------------------------------------- moving money


def test_a_preview_shows_exactly_what_would_happen_and_moves_nothing(customer, operator):
    before = books(customer)
    path = account_page(customer, "deduct/")
    answer = operator.post(path, filled(operator, path, amount="7.25", preview="Preview"))
    preview = answer.context["preview"]
    assert (preview.before.balance, preview.after.balance) == (usd("20"), usd("12.75"))
    assert [part.amount for part in preview.parts] == [usd("-7.25")]
    assert books(customer) == before


def test_a_confirmed_grant_adds_a_lot_in_the_operators_name(customer, operator):
    path = account_page(customer, "grant/")
    expiry = {"expires_at": "2030-01-02T03:04:05"}
    answer = operator.post(path, filled(operator, path, confirm="Confirm", **expiry), follow=True)
    assert "Add credit is done. Balance: $25.00." in answer.content.decode()
    entry = LedgerEntry.objects.get(account_id=customer.id, number=2)
    assert (entry.amount, entry.kind, entry.actor, entry.reason) == (
        usd("5"),
        "grant",
        "operator@example.com",
        "Goodwill",
    )
    assert Lot.objects.get(pk=entry.allocations[0]["lot"]).expires_at.isoformat() == "2030-01-02T03:04:05+00:00"


def test_a_form_sent_twice_moves_money_once(customer, operator):
    path = account_page(customer, "grant/")
    fields = filled(operator, path, confirm="Confirm")
    operator.post(path, fields)
    answer = operator.post(path, fields, follow=True)
    assert "was carried out before" in answer.content.decode()
    assert CreditAccount.objects.get(pk=customer.id).balance == usd("25")


def test_a_confirmed_deduction_takes_credit(customer, operator):
    path = account_page(customer, "deduct/")
    operator.post(path, filled(operator, path, amount="3", confirm="Confirm"))
    assert CreditAccount.objects.get(pk=customer.id).balance == usd("17")


def test_a_charge_is_refunded_in_parts_but_never_beyond_it(customer, operator):
    entry_id = make_call(customer, "10", percent="0").entry_id
    path = f"/admin/credits/ledgerentry/{entry_id}/refund/"
    operator.post(path, filled(operator, path, amount="4", confirm="Confirm"))
    answer = operator.post(path, filled(operator, path, amount="6.01", confirm="Confirm"))
    assert "more than what is left" in answer.content.decode()
    assert CreditAccount.objects.get(pk=customer.id).balance == usd("14")
    operator.post(path, filled(operator, path, amount="", confirm="Confirm"))
    assert CreditAccount.objects.get(pk=customer.id).balance == usd("20")
    assert "Refund</a>" not in operator.get(f"/admin/credits/ledgerentry/{entry_id}/change/").content.decode()


@pytest.mark.parametrize("step", ["preview", "confirm"])
@pytest.mark.parametrize(
    ("action", "fields", "said"),
    [
        ("grant/", {"reason": ""}, "This field is required"),
        ("grant/", {"reason": "   "}, "This field is required"),
        ("grant/", {"amount": "0"}, "greater than or equal to"),
        ("grant/", {"amount": "-5"}, "greater than or equal to"),
        ("grant/", {"amount": "1e99"}, "no more than"),
        ("grant/", {"amount": "0.0000000000001"}, "no more than 12 decimal places"),
        ("grant/", {"kind": "refund"}, "Select a valid choice"),
        ("grant/", {"expires_at": "2001-01-01T00:00"}, "would expire before"),
        ("deduct/", {"amount": "20.01"}, "20.01 USD"),
    ],
)
def test_what_does_not_fit_is_refused_at_both_steps_and_moves_nothing(customer, operator, step, action, fields, said):
    path = account_page(customer, action)
    before = books(customer)
    answer = operator.post(path, filled(operator, path, **fields, **{step: "x"}))
    assert answer.status_code == 200 and said in answer.content.decode()
    assert books(customer) == before


@pytest.mark.parametrize("action", ["grant/", "deduct/"])
def test_who_may_only_look_finds_no_door_and_is_refused_at_it(customer, action):
    viewer = staff("view_creditaccount", "view_ledgerentry")
    before = books(customer)
    assert "Deduct credit" not in viewer.get(account_page(customer, "change/")).content.decode()
    path = account_page(customer, action)
    fields = {"key": "k", "reason": "x", "amount": "1", "kind": "bonus", "confirm": "x"}
    assert viewer.get(path).status_code == viewer.post(path, fields).status_code == 403
    assert books(customer) == before


def test_the_right_to_post_entries_opens_the_doors(customer):
    clerk = staff("view_creditaccount", "view_ledgerentry", "add_ledgerentry")
    path = account_page(customer, "grant/")
    clerk.post(path, filled(clerk, path, confirm="x"))
    assert CreditAccount.objects.get(pk=customer.id).balance == usd("25")


@pytest.mark.parametrize("action", ["grant/", "deduct/"])
def test_members_and_visitors_are_sent_to_the_login(customer, client, action):
    for each in (client, sign_in(customer.memberships.get().user)):
        answer = each.post(account_page(customer, action), {"confirm": "x"})
        assert answer.status_code == 302 and "login" in answer["Location"]


def test_a_wallet_that_does_not_exist_is_not_found(operator):
    nowhere = "01890000-0000-7000-8000-000000000000"
    assert operator.get(f"/admin/credits/creditaccount/{nowhere}/grant/").status_code == 404
    assert operator.get(f"/admin/credits/ledgerentry/{nowhere}/refund/").status_code == 404


# ---------------------------------------------------------------- front page


def test_the_front_page_sums_up_live_books_only(customer, operator):
    make_call(customer, "2", occurred_at=timezone.now())
    grant_credits(
        organization_id=customer.test_twin.id, amount=usd("99"), kind="bonus", reason="x", actor="x", at=timezone.now()
    )
    make_call(customer.test_twin, "7", occurred_at=timezone.now())
    text = operator.get("/admin/").content.decode()
    for figure in ("$2.20", "$0.20", "$17.80", "Analytical Engines"):
        assert figure in text, figure


def test_the_front_page_shows_no_figures_to_those_who_may_not_see_the_ledger(customer):
    text = staff("view_user").get("/admin/").content.decode()
    assert "Unspent credit" not in text and "Analytical Engines" not in text


def test_reasons_and_names_are_text_never_markup(customer, operator):
    path = account_page(customer, "grant/")
    evil = "<script>alert(1)</script>"
    customer.__class__.objects.filter(pk=customer.pk).update(name=evil)
    operator.post(path, filled(operator, path, reason=evil, confirm="x"))
    entry = LedgerEntry.objects.get(account_id=customer.id, number=2)
    for page in ("/admin/", account_page(customer, "change/"), path, f"/admin/credits/ledgerentry/{entry.pk}/change/"):
        assert evil not in operator.get(page).content.decode(), page

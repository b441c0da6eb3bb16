"""Operators' pages of coupons: made by type, in bulk, limited and ended by the services, with a name and a reason."""

import csv
import re
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from coupons.models import Coupon, CouponBatch, Redemption
from outbox.models import DomainEvent
from payments.services import mark_paid, request_payment
from tests.builders import NOON, make_customer, make_user, sign_in, usd
from tests.coupons.making import make_coupon, make_terms, redeem
from tiers.services import create_tier

pytestmark = pytest.mark.django_db
ADD, BATCH = "/admin/coupons/coupon/add/", "/admin/coupons/couponbatch/add/"


@pytest.fixture
def operator():
    create_tier(at=NOON, slug="free", name="Free", is_default=True)
    create_tier(at=NOON, slug="pro", name="Professional", monthly_price=usd("50"))
    return sign_in(make_user(email="operator@example.com", is_staff=True, is_superuser=True))


def staff(*codenames):
    person = make_user(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return sign_in(person)


def page(coupon, action=""):
    return f"/admin/coupons/coupon/{coupon.pk}/{action}"


LIMITS = {"max_uses": "", "max_uses_per_organization": "1", "starts_at": "", "ends_at": ""}
FIELDS = {"code": "", "partner": "", "mode": "live", "reason": "Spring campaign", **LIMITS}


def rows():
    return Coupon.objects.count(), CouponBatch.objects.count(), DomainEvent.objects.count()


# ---------------------------------------------------------------- making


def test_the_first_page_asks_what_it_shall_give(operator):
    text = operator.get(ADD).content.decode()
    for kind in ("bonus", "percent", "free_period", "tier"):
        assert f'href="?type={kind}"' in text
    assert "<form" not in text.split('id="content-main"')[1]


@pytest.mark.parametrize(
    ("kind", "fields", "asked", "offer"),
    [
        (
            "bonus",
            {"amount": "10", "credit_days": "30"},
            {"amount", "credit_days"},
            "$10.00 of bonus credit for 30 days",
        ),
        (
            "percent",
            {"percent": "20", "applies_to": "credits", "periods": "3"},
            {"percent", "applies_to", "periods"},
            "20 % off the next 3 credit purchases",
        ),
        ("percent", {"percent": "20", "applies_to": "any", "periods": ""}, {"percent"}, "20 % off every payment"),
        ("free_period", {"periods": "2"}, {"periods"}, "2 months of your plan free"),
        ("tier", {"tier": "pro", "periods": "1"}, {"tier", "periods"}, "Professional for 1 month"),
    ],
)
def test_each_type_asks_for_what_it_has_and_is_made_in_the_operators_name(operator, kind, fields, asked, offer):
    path = f"{ADD}?type={kind}"
    names = set(re.findall(r'name="(\w+)"', operator.get(path).content.decode()))
    effects = {"amount", "credit_days", "percent", "applies_to", "tier", "periods"}
    assert asked <= names & effects <= asked | {"applies_to", "periods"}
    answer = operator.post(path, {**FIELDS, **fields, "code": "spring"}, follow=True)
    assert offer in answer.content.decode()
    coupon = Coupon.objects.get()
    assert (coupon.code, coupon.kind, coupon.created_by, coupon.note) == (
        "SPRING",
        kind,
        "operator@example.com",
        "Spring campaign",
    )
    event = DomainEvent.objects.get(type="coupon.created")
    assert (event.actor_label, event.data["reason"]) == ("operator@example.com", "Spring campaign")


def test_limits_and_a_partner_are_kept(operator):
    limits = {"max_uses": "500", "max_uses_per_organization": "", "starts_at": "2030-01-02T03:04:05", "tiers": ["pro"]}
    fields = {**FIELDS, **limits, "amount": "5", "partner": "Acme", "first_purchase_only": "on", "mode": "test"}
    operator.post(f"{ADD}?type=bonus", fields)
    coupon = Coupon.objects.get()
    assert (coupon.max_uses, coupon.max_uses_per_organization, coupon.tiers) == (500, None, ["pro"])
    assert (coupon.partner, coupon.first_purchase_only, coupon.mode) == ("Acme", True, "test")
    assert coupon.starts_at.isoformat() == "2030-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("bonus", {"amount": "-1"}, "greater than or equal to"),
        ("bonus", {"amount": "0.0000000000001"}, "no more than 12 decimal places"),
        ("bonus", {"amount": "10", "code": "a b"}, "3 to 40 letters"),
        ("bonus", {"amount": "10", "code": "redeem"}, "word of the API"),
        ("bonus", {"amount": "10", "code": "TAKEN"}, "There is a coupon TAKEN already"),
        ("bonus", {"amount": "10", "reason": ""}, "This field is required"),
        ("bonus", {"amount": "10", "max_uses": "0"}, "greater than or equal to 1"),
        ("bonus", {"amount": "10", "ends_at": "2001-01-01T00:00"}, "The end has passed"),
        ("bonus", {"amount": "10", "starts_at": "2031-01-01T00:00", "ends_at": "2030-01-01T00:00"}, "after the start"),
        ("bonus", {"amount": "10", "tiers": ["gold"]}, "Select a valid choice"),
        ("percent", {"percent": "101", "applies_to": "any"}, "less than or equal to 100"),
        ("percent", {"percent": "0", "applies_to": "any"}, "greater than or equal to 0.01"),
        ("percent", {"percent": "5", "applies_to": "any", "periods": "121"}, "From 1 to 120"),
        ("free_period", {"periods": ""}, "This field is required"),
        ("tier", {"tier": "gold", "periods": "1"}, "Select a valid choice"),
        ("tier", {"tier": "free", "periods": "1"}, "Select a valid choice"),
    ],
)
def test_what_does_not_fit_is_said_beside_its_field_and_makes_nothing(operator, kind, fields, said):
    make_coupon("TAKEN")
    before = rows()
    answer = operator.post(f"{ADD}?type={kind}", {**FIELDS, **fields})
    assert answer.status_code == 200 and said in answer.content.decode()
    assert rows() == before


# ---------------------------------------------------------------- batches


def generated(operator, **fields):
    path = f"{BATCH}?type=bonus"
    batch_id = re.search(r'name="batch_id" value="([^"]+)"', operator.get(path).content.decode())[1]
    fields = {**FIELDS, "amount": "5", "prefix": "acme", "count": "40", "max_uses": "1", "batch_id": batch_id, **fields}
    return operator.post(path, fields, follow=True), fields


def test_a_batch_is_made_once_and_downloaded(operator):
    answer, fields = generated(operator, partner="Acme")
    assert "40 codes are made" in answer.content.decode()
    operator.post(f"{BATCH}?type=bonus", fields)
    batch = CouponBatch.objects.get()
    assert (batch.size, batch.coupons.count(), batch.created_by) == (40, 40, "operator@example.com")
    download = operator.get(f"/admin/coupons/couponbatch/{batch.pk}/codes.csv")
    listed = list(csv.DictReader(StringIO(download.content.decode())))
    assert {row["code"] for row in listed} == set(batch.coupons.values_list("code", flat=True))
    assert 'filename="coupons-acme-' in download["Content-Disposition"]


@pytest.mark.parametrize(("field", "value"), [("count", "10001"), ("count", "0"), ("prefix", "a b"), ("batch_id", "x")])
def test_a_batch_that_does_not_fit_makes_nothing(operator, field, value):
    before = rows()
    answer, _fields = generated(operator, **{field: value})
    assert answer.status_code == 200 and "errornote" in answer.content.decode()
    assert rows() == before


def test_a_batch_ends_as_one_with_a_reason(operator):
    generated(operator)
    batch = CouponBatch.objects.get()
    path = f"/admin/coupons/couponbatch/{batch.pk}/end/"
    assert (
        operator.post(path, {"reason": ""}).status_code == 200
        and Coupon.objects.filter(deactivated_at=None).count() == 40
    )
    answer = operator.post(path, {"reason": "leaked"}, follow=True)
    assert "40 codes are deactivated" in answer.content.decode()
    assert not Coupon.objects.filter(deactivated_at=None).exists()
    event = DomainEvent.objects.get(type="coupon.batch_deactivated")
    assert (event.actor_label, event.data["reason"]) == ("operator@example.com", "leaked")


# ---------------------------------------------------------------- limiting and ending


def test_limits_are_changed_with_a_reason_and_start_from_the_present_ones(operator):
    coupon = make_coupon(max_uses=7, tiers=("pro",))
    text = operator.get(page(coupon, "limits/")).content.decode()
    assert 'value="7"' in text and re.search(r'value="pro"[^>]*checked', text)
    operator.post(page(coupon, "limits/"), {**LIMITS, "max_uses": "9", "reason": "popular"})
    coupon.refresh_from_db()
    assert (coupon.max_uses, coupon.tiers) == (9, [])
    event = DomainEvent.objects.get(type="coupon.changed")
    assert (event.actor_label, event.data["reason"]) == ("operator@example.com", "popular")


def test_limits_below_what_is_taken_are_refused(operator):
    coupon = make_coupon(max_uses=7)
    Coupon.objects.update(uses=5)
    answer = operator.post(page(coupon, "limits/"), {**LIMITS, "max_uses": "4", "reason": "x"})
    assert "has been redeemed 5 times already" in answer.content.decode()
    assert Coupon.objects.get().max_uses == 7


def test_a_coupon_is_ended_and_goes_on_with_a_reason(operator):
    coupon = make_coupon()
    assert operator.post(page(coupon, "end/"), {"reason": " "}).status_code == 200
    assert Coupon.objects.get().deactivated_at is None
    operator.post(page(coupon, "end/"), {"reason": "over"})
    assert Coupon.objects.get().deactivated_at is not None
    assert "Activate again" in operator.get(page(coupon, "change/")).content.decode()
    operator.post(page(coupon, "end/"), {"reason": "mistaken"})
    assert Coupon.objects.get().deactivated_at is None
    told = DomainEvent.objects.filter(actor_label="operator@example.com").order_by("id")
    assert list(told.values_list("type", "data__reason"))[1:] == [
        ("coupon.deactivated", "over"),
        ("coupon.reactivated", "mistaken"),
    ]


def test_what_a_coupon_gives_cannot_be_typed_over_and_nothing_is_deleted(operator):
    coupon = make_coupon()
    redeem(make_customer())
    assert operator.post(page(coupon, "change/"), {"amount": "99"}).status_code == 403
    for model, row in (("coupon", coupon), ("redemption", Redemption.objects.get())):
        assert operator.post(f"/admin/coupons/{model}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Coupon.objects.get().amount == 10


# ---------------------------------------------------------------- history and statistics


def test_statistics_count_uses_credit_discounts_and_who_was_won(operator):
    at = timezone.now() - timedelta(hours=1)
    one, two, three = (make_customer(at=at) for _ in range(3))
    make_coupon("WELCOME10", at=at, max_uses_per_organization=2)
    make_coupon("EARLYBIRD", at=at, kind="percent", percent="20", applies_to="credits", periods=1, partner="Acme")
    for organization in (one, one, two):
        redeem(organization, at=at)
    for organization in (one, three):
        redeem(organization, "EARLYBIRD", at=at)
    paid = [buy(one, "a", at), buy(one, "b", at), buy(three, "c", at)]
    assert [payment.discount for payment in paid] == [10, 0, 10]
    asked = request_payment(
        organization_id=two.id, purpose="credits", amount=usd("50"), credits=usd("50"), key="x", at=at, actor="t"
    )
    assert asked.status == "open"  # not paid: nobody won, no discount used
    answer = operator.get("/admin/coupons/coupon/statistics/")
    total = answer.context["total"]
    assert (total.uses, total.organizations, total.credits, total.discounts, total.payments, total.won) == (
        5,
        3,
        30,
        20,
        2,
        2,
    )
    by_type, by_partner, by_code = (dict(rows) for _, _, rows in answer.context["tables"])
    assert (by_type["Bonus credit"].uses, by_type["Bonus credit"].won) == (3, 1)
    assert (by_partner["Acme"].discounts, by_partner["Acme"].won) == (20, 2)
    assert (by_code["EARLYBIRD"].organizations, by_code["WELCOME10"].credits) == (2, 30)
    coupon = Coupon.objects.get(code="EARLYBIRD")
    text = operator.get(page(coupon, "change/")).content.decode()
    assert "$20.00" in text and "on 2 payments" in text


def buy(organization, key, at):
    payment = request_payment(
        organization_id=organization.id,
        purpose="credits",
        amount=usd("50"),
        credits=usd("50"),
        key=key,
        at=at,
        actor="t",
        collection="manual",
    )
    mark_paid(payment_id=payment.id, actor="t", reason="transfer", at=at)
    return payment


def test_who_had_bought_before_was_not_won(operator):
    at = timezone.now() - timedelta(hours=1)
    organization = make_customer(at=at)
    buy(organization, "before", at - timedelta(minutes=1))
    make_coupon(at=at)
    redeem(organization, at=at)
    buy(organization, "after", at + timedelta(minutes=1))
    assert operator.get("/admin/coupons/coupon/statistics/").context["total"].won == 0


def test_the_history_is_searched_by_code_and_organization(operator):
    make_coupon()
    redeem(make_customer(name="Analytical Engines"))
    for query in ("welcome", "Analytical"):
        text = operator.get(f"/admin/coupons/redemption/?q={query}").content.decode()
        assert "Analytical Engines" in text and "$10.00 of bonus credit" in text
    assert "Analytical" not in operator.get("/admin/coupons/redemption/?q=nothing").content.decode()


# ---------------------------------------------------------------- who may


def test_who_may_only_look_sees_no_door_and_is_refused_at_each():
    coupon, viewer = make_coupon(), staff("view_coupon", "view_couponbatch", "view_redemption")
    from coupons.services import generate_batch
    from tests.coupons.making import ACTOR

    batch = generate_batch(prefix="", count=2, terms=make_terms(), actor=ACTOR, at=NOON)
    before = rows()
    text = viewer.get(page(coupon, "change/")).content.decode()
    assert "/end/" not in text and "/limits/" not in text
    folder = f"/admin/coupons/couponbatch/{batch.pk}"
    paths = [page(coupon, "limits/"), page(coupon, "end/"), ADD, BATCH, f"{folder}/end/", f"{folder}/codes.csv"]
    for path in (*paths, f"{ADD}?type=bonus"):
        assert viewer.get(path).status_code == 403, path
        assert viewer.post(path, {**FIELDS, "amount": "1"}).status_code == 403, path
    assert rows() == before


def test_support_looks_and_billing_makes_and_ends():
    from config.roles import apply_rules

    apply_rules()
    coupon = make_coupon()
    for group, status in (("support", 403), ("billing", 302)):
        person = make_user(is_staff=True)
        person.groups.add(Group.objects.get(name=group))
        client = sign_in(person)
        assert client.get(page(coupon, "change/")).status_code == 200
        assert client.post(f"{ADD}?type=bonus", {**FIELDS, "amount": "1"}).status_code == status
        assert client.post(page(coupon, "end/"), {"reason": "r"}).status_code == status
    assert Coupon.objects.count() == 2


def test_names_are_text_never_markup(operator):
    evil = "<script>alert(1)</script>"
    coupon = make_coupon(partner=evil, note=evil)
    redeem(make_customer(name=evil))
    for path in (
        page(coupon, "change/"),
        page(coupon, "end/"),
        "/admin/coupons/coupon/",
        "/admin/coupons/coupon/statistics/",
    ):
        assert evil not in operator.get(path).content.decode(), path

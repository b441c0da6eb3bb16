"""Coupons from the command line."""

import csv
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from coupons.models import Coupon, CouponBatch, Redemption
from credits.audit import audit_books
from outbox.models import DomainEvent
from tests.builders import NOON, make_customer
from tests.coupons.making import books
from tiers.services import create_tier

pytestmark = pytest.mark.django_db


def generate(*words):
    out = StringIO()
    call_command("generate_coupons", *words, stdout=out, stderr=StringIO())
    return list(csv.DictReader(StringIO(out.getvalue())))


def test_codes_are_generated_and_written_as_csv(tmp_path):
    rows = generate("--type=bonus", "--amount=5", "--count=12", "--prefix=acme", "--partner=Acme", "--reason=Fair")
    assert {row["code"] for row in rows} == set(Coupon.objects.values_list("code", flat=True))
    assert {(row["offer"], row["max_uses"], row["max_uses_per_organization"], row["partner"]) for row in rows} == {
        ("$5.00 of bonus credit", "1", "1", "Acme")
    }
    assert DomainEvent.objects.get().actor_label == "generate_coupons"
    file = tmp_path / "codes.csv"
    generate("--type=percent", "--percent=12.5", "--count=2", f"--csv={file}", "--max-uses=0", "--per-organization=0")
    [first, _] = csv.DictReader(file.open())
    assert (first["percent"], first["applies_to"], first["max_uses"], first["max_uses_per_organization"]) == (
        "12.5",
        "any",
        "",
        "",
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--type=bonus", "--count=2"],
        ["--type=bonus", "--amount=-1", "--count=2"],
        ["--type=bonus", "--amount=x", "--count=2"],
        ["--type=bonus", "--amount=0.0000000000001", "--count=2"],
        ["--type=percent", "--percent=101", "--count=2"],
        ["--type=bonus", "--amount=1", "--count=0"],
        ["--type=bonus", "--amount=1", "--count=2", "--ends=2001-01-01T00:00:00Z"],
        ["--type=bonus", "--amount=1", "--count=2", "--ends=2031-01-01"],
        ["--type=tier", "--tier=gold", "--count=2"],
        ["--type=bonus", "--amount=1", "--count=2", "--only-tiers", "gold"],
        ["--type=bonus", "--amount=1", "--count=2", "--csv=/no/such/folder/x.csv"],
    ],
)
def test_what_does_not_fit_is_said_and_makes_nothing(words):
    with pytest.raises(CommandError):
        generate(*words)
    assert (Coupon.objects.count(), CouponBatch.objects.count(), DomainEvent.objects.count()) == (0, 0, 0)


def test_an_existing_file_is_not_overwritten(tmp_path):
    file = tmp_path / "codes.csv"
    file.write_text("precious")
    with pytest.raises(CommandError):
        generate("--type=bonus", "--amount=1", "--count=2", f"--csv={file}")
    assert file.read_text() == "precious" and Coupon.objects.count() == 0


def test_the_demo_has_every_kind_and_is_loaded_once():
    create_tier(at=NOON, slug="free", name="Free", is_default=True)
    create_tier(at=NOON, slug="professional", name="Professional", monthly_price=50)
    customers = [make_customer() for _ in range(3)]
    for _ in range(2):
        call_command("load_demo_coupons", stdout=StringIO())
    from django.utils import timezone

    now = timezone.now()
    states = {(c.code, c.mode): c.state_at(now).value for c in Coupon.objects.filter(batch=None)}
    assert states == {
        ("FREEMONTH", "live"): "active",
        ("WELCOME10", "live"): "active",
        ("WELCOME10", "test"): "active",
        ("EARLYBIRD", "live"): "active",
        ("NORTHSTAR-PRO", "live"): "active",
        ("LAUNCH5", "live"): "exhausted",
        ("SPRING25", "live"): "expired",
    }
    assert set(Coupon.objects.filter(batch=None).values_list("kind", flat=True)) == {
        "bonus",
        "free_period",
        "percent",
        "tier",
    }
    assert CouponBatch.objects.get().size == 25
    assert Redemption.objects.count() == 9
    assert [books(customer)[0] for customer in customers] == ["15", "20", "5"]
    assert audit_books() == []


def test_without_organizations_the_demo_only_makes_coupons():
    call_command("load_demo_coupons", stdout=StringIO())
    assert Redemption.objects.count() == 0 and Coupon.objects.filter(code="FREEMONTH").exists()

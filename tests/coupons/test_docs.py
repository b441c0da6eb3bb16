"""The examples and figures of docs/coupons.md are true as they stand there."""

import csv
import json
import re
import shlex
from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command

from core import amounts
from core.refusals import all_refusals
from coupons.codes import ALPHABET, RANDOM_LENGTH
from coupons.eligibility import Reason
from coupons.models import Coupon, Kind, State
from coupons.services.creating import LARGEST_BATCH
from coupons.terms import Limits
from credits.balances import current_balance
from payments.models import Payment
from payments.services import request_payment
from tests.api.caller import Caller
from tests.builders import NOON, make_customer, usd
from tests.coupons.making import ACTOR, make_coupon, redeem
from tiers.catalogue import load_catalogue
from tiers.close.services import close_period
from tiers.models import Subscription
from tiers.services import switch_tier

pytestmark = pytest.mark.django_db

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "coupons.md").read_text()


def table(heading):
    """The rows of the table that begins with this heading, cell by cell without markup."""
    lines = TEXT[TEXT.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def examples():
    """Each curl with the answer that stands below it, None without one."""
    for command, rest in re.findall(r"```sh\n(curl .*?)```\n(\n```json\n.*?```)?", TEXT, re.DOTALL):
        words = shlex.split(command.replace("\\\n", " "))
        options = [(words[at], words[at + 1]) for at in range(len(words) - 1) if words[at] in ("-X", "-d", "-H")]
        [url] = [word for word in words if word.startswith("$FAREBOX_URL")]
        parts = urlsplit(url.removeprefix("$FAREBOX_URL/api/v1/"))
        answer = json.loads(rest.strip().removeprefix("```json").removesuffix("```")) if rest else None
        yield dict(o for o in options if o[0] != "-H"), [o[1] for o in options if o[0] == "-H"], parts, answer


def test_every_example_is_answered_as_the_page_says():
    load_catalogue(name="managed-credits", at=NOON)
    caller = Caller(make_customer(tier_slug="free"))
    count = 0
    for options, headers, parts, expected in examples():
        keys = [header.split(": ")[1] for header in headers if header.startswith("Idempotency-Key")]
        body = json.loads(options["-d"]) if "-d" in options else None
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        status, answer = caller.ask(
            options.get("-X", "GET"), path, body, **({"idempotency_key": keys[0]} if keys else {})
        )
        count += 1
        if expected is None:
            assert status == 204
            continue
        assert {name: answer[name] for name in expected} == filled(expected, answer), path
        assert status < 300 or status == expected["status"]
    assert count == 9 and Coupon.objects.get(code="SPRING10").deactivated_at is not None


def filled(expected, answer):
    """The expected answer with what cannot be known beforehand taken from the real one."""
    blank = {name: answer[name] for name, value in expected.items() if value == "…"}
    lists = {name: answer[name] for name, value in expected.items() if isinstance(value, list)}
    assert all(len(expected[name]) == len(value) for name, value in lists.items())
    return {**expected, **blank, **lists}


# ---------------------------------------------------------------- worked figures


def ask(organization, amount, key):
    return request_payment(
        organization_id=organization.id,
        purpose="credits",
        amount=amount,
        credits=amount,
        key=key,
        at=NOON,
        actor="t",
        collection="manual",
    )


def money(text):
    return Decimal(text.strip("*$").replace(",", ""))


@pytest.mark.parametrize("row", table("Coupon | Payment"), ids=" ".join)
def test_worked_discounts(row):
    percent, payment, discount, paid = row
    organization = make_customer()
    make_coupon("C-1", kind="percent", percent=percent.removesuffix(" %"), applies_to="any", periods=1)
    redeem(organization, "C-1")
    found = ask(organization, money(payment), "k")
    assert (found.gross, found.discount, found.amount) == (money(payment), money(discount), money(paid))


def test_worked_purchases():
    said = re.search(r"purchases of \$50.00: (.*)\.\n", TEXT)[1]
    organization = make_customer()
    make_coupon("EARLY20", kind="percent", percent="20", applies_to="credits", periods=2)
    redeem(organization, "EARLY20")
    paid = [ask(organization, usd("50"), key).amount for key in "abc"]
    assert paid == [money(text) for text in re.findall(r"\$[\d.]+", said)]


def wallet(organization, at=NOON):
    return amounts.full(current_balance(organization.id, at).balance)


def test_worked_free_month():
    load_catalogue(name="managed-credits", at=NOON - timedelta(days=1))
    organization = make_customer(tier_slug="free")
    make_coupon("FREEMONTH", kind="free_period", periods=1)
    redeem(organization, "FREEMONTH")
    first = ["nothing", "nothing", wallet(organization)]
    assert not Payment.objects.exists()
    switch_tier(organization_id=organization.id, tier_slug="professional", at=NOON, actor=ACTOR)
    payment = Payment.objects.get()
    second = [amounts.full(payment.gross), amounts.full(payment.amount), wallet(organization)]
    assert [row[1:] for row in table("Moment | Asked for")] == [first, second]


def test_worked_lent_tier():
    load_catalogue(name="managed-credits", at=NOON - timedelta(days=1))
    organization = make_customer(tier_slug="free")
    make_coupon("TRYPRO", kind="tier", tier_slug="professional", periods=1)

    def standing(at):
        present = Subscription.objects.get(organization=organization, ended_at=None)
        return [present.tier.name, amounts.full(present.price), wallet(organization, at)]

    seen = [standing(NOON)]
    redeem(organization, "TRYPRO")
    seen.append(standing(NOON))
    lent = Subscription.objects.get(organization=organization, ended_at=None)
    assert lent.period_ends_at == NOON.replace(month=4)
    close_period(subscription_id=lent.id, at=lent.period_ends_at)
    seen.append(standing(lent.period_ends_at))
    assert [row[1:] for row in table("Moment | Tier")] == seen


# ---------------------------------------------------------------- lists


def test_every_type_limit_state_and_reason_is_named():
    assert {row[0] for row in table("Type")} == set(Kind.values)
    named = {name for row in table("Limit") for name in re.findall(r"\w+", row[1].replace("`", ""))}
    assert named == set(Limits.__slots__)
    assert [(row[0], row[1]) for row in table("`reason`")] == [(each.value, str(each.label)) for each in Reason]
    states = re.search(r"`state` \(([^)]*)\)", TEXT)[1]
    assert set(re.findall(r"\w+", states)) == set(State.values)


def test_the_attempts_are_the_settings(settings):
    from accounts.principal import Principal
    from coupons.guessing import attempt_buckets
    from tests.builders import make_organization

    caller = Principal(make_organization().id, "live", frozenset(), "t", user_id=1)
    found = [bucket.limit for bucket in attempt_buckets(caller, "192.0.2.1")]
    assert [int(cell) for row in table("Attempts") for cell in row[1:]] == found


def test_the_size_of_a_batch_and_the_chance_of_a_guess():
    words = " ".join(TEXT.split())
    assert f"Up to {LARGEST_BATCH:,} codes" in words and "ten characters" in words and RANDOM_LENGTH == 10
    said = int(re.search(r"One in ([\d,]+) guesses", words)[1].replace(",", ""))
    assert said <= len(ALPHABET) ** RANDOM_LENGTH // LARGEST_BATCH < said * 1.05


def test_every_refusal_is_one_with_its_status():
    known = {error.code: error.status for error in all_refusals()}
    assert {row[0]: int(row[1]) for row in table("Code")}.items() <= known.items()


def test_the_command_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = re.search(r"^manage\.py (generate_coupons .*)$", TEXT, re.MULTILINE)[1]
    call_command(*shlex.split(line), stderr=StringIO())
    assert len(list(csv.DictReader((tmp_path / "codes.csv").open()))) == 500

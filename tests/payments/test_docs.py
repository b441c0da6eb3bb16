"""docs/payments.md: its worked numbers are carried out, its names exist."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from credits.services import deduct_credits
from payments import services
from payments.models import Status
from payments.providers.stripe.events import _READERS as STRIPE_EVENTS
from payments.services.settling import RETRIES
from payments.webhooks.standard import _READERS as STANDARD_EVENTS
from tests.api.routes import api_routes
from tests.builders import NOON, make_organization, usd
from tests.payments.building import ask_for, balance_of

TEXT = (Path(settings.BASE_DIR) / "docs/payments.md").read_text(encoding="utf-8")


def rows_after(heading: str) -> list[list[str]]:
    section = TEXT.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def dollars(cell: str) -> str:
    return cell.removeprefix("$")


@pytest.mark.django_db
@pytest.mark.parametrize(("spent", "given", "back", "left"), rows_after("Refunds"))
def test_the_refunds_of_the_table_come_out_as_it_says(spent, given, back, left):
    organization = make_organization()
    payment = ask_for(organization, "20")
    services.mark_paid(payment_id=payment.pk, actor="ada", reason="t", at=NOON)
    if spent != "nothing spent":
        amount = usd(spent.split()[0])
        deduct_credits(organization_id=organization.pk, amount=amount, reason="use", actor="test", at=NOON)
    amount = None if given == "–" else usd(dollars(given))
    refunded = services.refund_payment(payment_id=payment.pk, amount=amount, actor="ada", reason="t", at=NOON)
    assert (refunded.refunded, balance_of(organization)) == (usd(dollars(back)), usd(left))


@pytest.mark.django_db
def test_the_discount_of_the_text_comes_out_as_it_says():
    percent, price, off = re.search(r"([\d.]+) % of \$([\d.]+) is \$(\d+\.\d+)", TEXT).groups()
    organization = make_organization()
    terms = {"applies_to": "any", "uses": 1, "key": "d", "source": "X", "at": NOON}
    services.add_discount(organization_id=organization.pk, percent=usd(percent), **terms)
    assert ask_for(organization, price).discount == usd(off)


def test_states_events_days_and_paths_are_the_ones_there_are():
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT.split("## Providers")[0], re.MULTILINE)) == {"status", *Status.values}
    assert [event for event in STRIPE_EVENTS if f"`{event}`" not in TEXT] == []
    assert {row[0].strip("`") for row in rows_after_events()} == set(STANDARD_EVENTS)
    days = [pause.days for pause in RETRIES["subscription"]]
    assert "tried again {}, {}, {} and {} days after".format(*days) in TEXT
    paths = {route.pattern.removeprefix("api/v1/").replace("<uuid:pk>", "{id}") for route in api_routes()}
    assert set(re.findall(r"`(?:[A-Z]+ )(payments[\w/{}-]*)", TEXT)) <= paths


def rows_after_events() -> list[list[str]]:
    table = TEXT.split("| `type` |")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]

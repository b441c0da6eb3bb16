"""Organizations on tiers with a metered price, and what became of them."""

from decimal import Decimal
from itertools import count

from credits.models import CreditAccount
from metering.customer_events import CustomerEvent
from metering.metered.models import MeteredCharge, MeteredCounter
from metering.metered.terms import checked_metered_prices
from metering.services import create_meter, ingest_events, void_event
from tests.builders import NOON
from tests.metering.reporting import make_reporter

_numbers = count(1)
UNITS = {
    "filter": {"conjunction": "and", "clauses": [{"property": "name", "operator": "eq", "value": "unit"}]},
    "aggregation": {"func": "sum", "property": "n"},
}
GRADUATED = {
    "model": "graduated",
    "included": "10",
    "steps": [{"up_to": "10", "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}],
}
VOLUME = {"model": "volume", "steps": [{"up_to": "100", "unit_amount": "1"}, {"up_to": None, "unit_amount": "0.5"}]}


def make_metered(price=GRADUATED, mode="credits", credit="10", **tier):
    """An organization on a tier with one metered price."""
    meter = create_meter(organization_id=None, name=f"Units {next(_numbers)}", at=NOON, **UNITS)
    prices = checked_metered_prices([{"meter": meter.name, "mode": mode, "price": price}])
    return make_reporter(credit, metered_prices=prices, **tier)


def use(organization, *numbers, at=NOON):
    events = [CustomerEvent(name="unit", external_customer_id="u", metadata={"n": Decimal(n)}) for n in numbers]
    return ingest_events(organization_id=organization.pk, events=events, at=at).event_ids


def counter(organization):
    row = MeteredCounter.objects.get(organization=organization)
    return row.quantity, row.amount, row.charged, row.owed


def balance(organization):
    return CreditAccount.objects.get(pk=organization.pk).balance


def amounts(organization):
    rows = MeteredCharge.objects.filter(organization=organization).order_by("created_at", "id")
    return [(row.cause, row.quantity, row.amount) for row in rows]


def take_back(organization, event, at=NOON):
    void_event(organization_id=organization.pk, event_id=event, reason="r", actor="t", at=at)

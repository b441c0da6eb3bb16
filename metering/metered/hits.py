"""What an event adds to the meters that a tier prices."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from core.jsonio import dumps, loads
from core.money import EXACT, to_wire
from metering.errors import AmountTooLarge, NegativeUsage
from metering.ingest.checks import MOST_QUANTITY, MOST_USD
from metering.meters.grammar import parse_aggregation, parse_filter
from metering.meters.matching import EventFacts, amount_of, matches
from metering.meters.models import Definition
from metering.models import UsageEvent
from metering.price_models import running_price
from metering.records import Hit, UsageRecord

_STEP = Decimal(1).scaleb(-18)


def hits_of(record: UsageRecord | UsageEvent, prices: Sequence[Mapping[str, Any]]) -> tuple[Hit, ...]:
    """The quantities that the event adds to ``prices``, a tier's metered prices; nothing where it adds nothing."""
    facts = EventFacts.of(record)
    hits = []
    for price in prices:
        meter = definition_of(price)
        if matches(meter.filter, facts) and (amount := _counted(amount_of(meter.aggregation, facts))):
            hits.append(Hit(meter=UUID(price["meter"]), value=amount))
    return tuple(hits)


def checked_hits(record: UsageRecord, prices: Sequence[Mapping[str, Any]]) -> tuple[Hit, ...]:
    """The same for what somebody reports. Raises AmountTooLarge and NegativeUsage.

    What no counter can hold would fail a whole batch in the database. A negative quantity would lower the price of what
    was used before it, by the word of whoever pays: what was reported wrongly is voided or corrected.
    """
    hits = hits_of(record, prices)
    by_meter = {each["meter"]: each for each in prices} if hits else {}
    for hit in hits:
        if abs(hit.value) >= MOST_QUANTITY:
            raise AmountTooLarge(quantity=hit.value, limit=MOST_QUANTITY)
        price = by_meter[str(hit.meter)]
        if hit.value < 0:
            detail = f"{price['name']} is charged for: it cannot count {to_wire(hit.value)}."
            raise NegativeUsage(detail, meter=price["name"])
        cost = running_price(hit.value, price["price"])
        if cost >= MOST_USD:
            raise AmountTooLarge(charge=cost, limit=MOST_USD)
    return hits


def _counted(amount: Decimal | None) -> Decimal | None:
    """What a counter keeps of it: 18 decimal places."""
    return amount if amount is None or amount.as_tuple().exponent >= -18 else amount.quantize(_STEP, context=EXACT)  # type: ignore[operator]


def definition_of(price: Mapping[str, Any]) -> Definition:
    """What the meter of a tier's price counts."""
    return _definition(dumps([price["filter"], price["aggregation"]]))


@lru_cache(maxsize=1_000)
def _definition(text: bytes) -> Definition:
    filter_, aggregation = loads(text)
    return Definition(parse_filter(filter_), parse_aggregation(aggregation))

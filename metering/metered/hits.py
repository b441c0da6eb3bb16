"""What an event adds to the meters that a tier prices."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from core.jsonio import dumps, loads
from core.money import EXACT
from metering.meters.grammar import parse_aggregation, parse_filter
from metering.meters.matching import EventFacts, amount_of, matches
from metering.meters.models import Definition
from metering.records import Hit, UsageRecord

_STEP = Decimal(1).scaleb(-18)


def hits_of(record: UsageRecord, prices: Sequence[Mapping[str, Any]]) -> tuple[Hit, ...]:
    """The quantities that the event adds to ``prices``, a tier's metered prices; nothing where it adds nothing."""
    facts = EventFacts.of(record)
    hits = []
    for price in prices:
        meter = _definition(dumps([price["filter"], price["aggregation"]]))
        if matches(meter.filter, facts) and (amount := _counted(amount_of(meter.aggregation, facts))):
            hits.append(Hit(meter=UUID(price["meter"]), value=amount))
    return tuple(hits)


def _counted(amount: Decimal | None) -> Decimal | None:
    """What a counter keeps of it: 18 decimal places."""
    return amount if amount is None or amount.as_tuple().exponent >= -18 else amount.quantize(_STEP, context=EXACT)  # type: ignore[operator]


@lru_cache(maxsize=1_000)
def _definition(text: bytes) -> Definition:
    filter_, aggregation = loads(text)
    return Definition(parse_filter(filter_), parse_aggregation(aggregation))

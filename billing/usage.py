"""What customers have consumed, as the meters read it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from billing.models import Customer
from metering.meters.customers import CustomerRef
from metering.meters.models import Meter
from metering.meters.readings import Reading, readings


def known_meters(organization_id: UUID, ids: Iterable[UUID]) -> dict[UUID, Meter]:
    """The organization's meters with these ids, archived ones too."""
    return Meter.objects.filter(organization_id=organization_id).in_bulk(list(set(ids)))


def readings_of(
    customer: Customer,
    meters: Sequence[Meter],
    since: Mapping[UUID, datetime | None],
    until: datetime | None = None,
) -> dict[UUID, Reading]:
    """Each meter over what was received since the start of its window (by meter id; missing: ever), in one query."""
    windows = {meter.id: (latest(since.get(meter.id), customer.usage_since), until) for meter in meters}
    return readings(meters=meters, customer=reference_of(customer), windows=windows)


def consumption(
    customer: Customer, meters: Sequence[Meter], since: Mapping[UUID, datetime | None], until: datetime | None = None
) -> dict[UUID, Decimal]:
    """The quantities alone."""
    return {key: each.quantity for key, each in readings_of(customer, meters, since, until).items()}


def reference_of(customer: Customer) -> CustomerRef:
    """The customer in the words of metering: events name him by either of his ids."""
    return CustomerRef(customer_id=customer.id, external_id=customer.external_id)


def latest(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two instants, either of which may be missing."""
    if one is None or other is None:
        return one or other
    return max(one, other)

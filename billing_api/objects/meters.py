"""Meters as the wire shows them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from metering.meters.models import Meter as Row


class Meter(msgspec.Struct, kw_only=True):
    """What is counted of a customer's use, and how."""

    id: UUID
    created_at: datetime
    modified_at: datetime | None
    metadata: dict[str, Any]
    name: str
    unit: str = "scalar"
    custom_label: str | None = None
    custom_multiplier: int | None = None
    filter: dict[str, Any]
    aggregation: dict[str, Any]
    organization_id: UUID | None  # never null for a merchant's
    archived_at: datetime | None


class PriceMeter(msgspec.Struct, kw_only=True):
    """The meter of a metered price."""

    id: UUID
    name: str
    unit: str = "scalar"
    custom_label: str | None = None
    custom_multiplier: int | None = None


def meter_object(row: Row) -> Meter:
    """The meter as the wire shows it. Its unit in our own words is not one that all clients know."""
    return Meter(
        id=row.id,
        created_at=row.created_at,
        modified_at=row.modified_at,
        metadata=row.metadata,
        name=row.name,
        filter=row.filter,
        aggregation=row.aggregation,
        organization_id=row.organization_id,
        archived_at=row.archived_at,
    )


def price_meter(row: Row) -> PriceMeter:
    """The meter as a price names it."""
    return PriceMeter(id=row.id, name=row.name)

"""Writes of benefits."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.principal import Actor
from billing.announcing import announce
from billing.errors import InvalidValue, NotFound
from billing.locks import lock_customer
from billing.models import Benefit, BenefitGrant, BenefitType
from billing.services.closing import close_customer
from billing.services.grants import revoke_grant
from billing.usage import known_meters

CHANGEABLE = frozenset({"description", "metadata", "units", "rollover", "meter_id", "note"})


@transaction.atomic
def create_benefit(
    *,
    organization_id: UUID,
    type: str,
    description: str,
    actor: Actor | str,
    at: datetime,
    meter_id: UUID | None = None,
    units: int | None = None,
    rollover: bool = False,
    note: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Benefit:
    """A benefit to attach to products: ``units`` on a meter, or a note of the merchant's own. Raises InvalidValue."""
    benefit = Benefit(
        organization_id=organization_id,
        type=BenefitType(type),
        description=description,
        meter_id=meter_id,
        units=units,
        rollover=rollover,
        note=note,
        metadata=dict(metadata or {}),
        created_at=at,
    )
    _check(benefit)
    benefit.save(force_insert=True)
    announce("benefit.created", organization_id=organization_id, actor=actor, at=at, benefit_id=benefit.id)
    return benefit


@transaction.atomic
def update_benefit(
    *, organization_id: UUID, benefit_id: UUID, changes: Mapping[str, Any], actor: Actor | str, at: datetime
) -> Benefit:
    """Change some of CHANGEABLE. Credit that was given stays; renewals give what is written now."""
    benefit = _locked(organization_id, benefit_id)
    for field in CHANGEABLE & changes.keys():
        setattr(benefit, field, changes[field])
    _check(benefit)
    benefit.modified_at = at
    benefit.save()
    announce("benefit.updated", organization_id=organization_id, actor=actor, at=at, benefit_id=benefit.id)
    return benefit


def delete_benefit(*, organization_id: UUID, benefit_id: UUID, actor: Actor | str, at: datetime) -> None:
    """Take the benefit from all products and from everybody who has it. Raises NotFound."""
    with transaction.atomic():
        benefit = _locked(organization_id, benefit_id)
        benefit.deleted_at = benefit.modified_at = at
        benefit.save(update_fields=["deleted_at", "modified_at"])
        benefit.product_benefits.all().delete()
        announce("benefit.updated", organization_id=organization_id, actor=actor, at=at, benefit_id=benefit.id)
    # Each customer by himself: nobody is kept waiting by a long list, and the same call again ends what is left.
    for grant_id, customer_id in benefit.grants.filter(revoked_at__isnull=True).values_list("id", "customer_id"):
        with transaction.atomic():
            close_customer(customer_id=customer_id, at=at)
            customer = lock_customer(customer_id)
            grant = BenefitGrant.objects.select_related("benefit").get(pk=grant_id)
            revoke_grant(grant, customer, actor=actor, at=at)


def _locked(organization_id: UUID, benefit_id: UUID) -> Benefit:
    benefit = Benefit.objects.of(organization_id).select_for_update(no_key=True).filter(pk=benefit_id).first()
    if benefit is None:
        raise NotFound("There is no such benefit.")
    return benefit


def _check(benefit: Benefit) -> None:
    if benefit.type != BenefitType.METER_CREDIT:
        return
    if not benefit.units or benefit.units <= 0:
        raise InvalidValue(["properties", "units"], "Units must be above zero.", value=benefit.units)
    if benefit.meter_id not in known_meters(benefit.organization_id, [benefit.meter_id] if benefit.meter_id else []):
        raise InvalidValue(["properties", "meter_id"], "Meter not found.", value=str(benefit.meter_id))

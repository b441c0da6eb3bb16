"""Giving benefits to customers, again at each renewal, and taking them back. The customer is locked by the caller."""

from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.principal import Actor
from billing.announcing import announce, note_state_change, record_event
from billing.models import (
    Benefit,
    BenefitGrant,
    BenefitType,
    Customer,
    CustomerSubscription,
    Order,
    Product,
)
from billing.services import ledger
from core.times import wire_time


def benefits_of(product: Product) -> list[Benefit]:
    """What comes with the product now, in its order."""
    rows = product.product_benefits.select_related("benefit").filter(benefit__deleted_at__isnull=True)
    return [row.benefit for row in rows]


def grant_benefits(
    customer: Customer,
    product: Product,
    *,
    subscription: CustomerSubscription | None = None,
    order: Order | None = None,
    actor: Actor | str,
    at: datetime,
) -> list[BenefitGrant]:
    """Give all benefits of the product, for the subscription or for the purchase."""
    source = {"subscription": subscription, "order": order}
    return [_give(customer, benefit, source, actor=actor, at=at) for benefit in benefits_of(product)]


def cycle_grants(
    customer: Customer, subscription: CustomerSubscription, *, actor: Actor | str, at: datetime, boundary: datetime
) -> None:
    """Give what the product gives now for the period that begins at ``boundary``; take back what it no longer gives."""
    offered = {benefit.id: benefit for benefit in benefits_of(subscription.product)}
    for grant in _held(subscription):
        if grant.benefit_id not in offered:
            revoke_grant(grant, customer, actor=actor, at=at)
            continue
        benefit = offered.pop(grant.benefit_id)
        _credit(grant, benefit, customer, actor=actor, at=at, effective_at=boundary)
        grant.modified_at = at
        grant.save(update_fields=["properties", "modified_at"])
        _tell("cycled", grant, benefit, customer, actor=actor, at=at)
    for benefit in offered.values():
        source = {"subscription": subscription, "order": None}
        _give(customer, benefit, source, actor=actor, at=at, effective_at=boundary)


def follow_product(subscription: CustomerSubscription, customer: Customer, *, actor: Actor | str, at: datetime) -> None:
    """Give a running subscription what its product has gained since, and take back what it has lost."""
    offered = {benefit.id: benefit for benefit in benefits_of(subscription.product)}
    for grant in _held(subscription):
        if offered.pop(grant.benefit_id, None) is None:
            revoke_grant(grant, customer, actor=actor, at=at)
    for benefit in offered.values():
        _give(customer, benefit, {"subscription": subscription, "order": None}, actor=actor, at=at)


def revoke_grants(subscription: CustomerSubscription, customer: Customer, *, actor: Actor | str, at: datetime) -> None:
    """Take back all that the subscription gives."""
    for grant in _held(subscription):
        revoke_grant(grant, customer, actor=actor, at=at)


def revoke_grant(grant: BenefitGrant, customer: Customer, *, actor: Actor | str, at: datetime) -> None:
    """Take one benefit back, with the units that it last gave; once."""
    if grant.revoked_at is not None:
        return
    benefit = grant.benefit
    if grant.has_credited:
        _take_back(grant, benefit, customer, actor=actor, at=at)
    grant.revoked_at = grant.modified_at = at
    grant.save(update_fields=["revoked_at", "modified_at"])
    _tell("revoked", grant, benefit, customer, actor=actor, at=at)


def _held(subscription: CustomerSubscription) -> list[BenefitGrant]:
    """The subscription's grants in the order in which they were given."""
    rows = subscription.grants.filter(revoked_at__isnull=True).select_related("benefit")
    return list(rows.order_by("granted_at", "id"))


def _give(
    customer: Customer,
    benefit: Benefit,
    source: dict[str, Any],
    *,
    actor: Actor | str,
    at: datetime,
    effective_at: datetime | None = None,
) -> BenefitGrant:
    grant = BenefitGrant.objects.create(
        organization_id=customer.organization_id,
        customer=customer,
        benefit=benefit,
        granted_at=at,
        created_at=at,
        **source,
    )
    _credit(grant, benefit, customer, actor=actor, at=at, effective_at=effective_at or at)
    grant.save(update_fields=["properties"])
    _tell("created", grant, benefit, customer, actor=actor, at=at)
    return grant


def _credit(
    grant: BenefitGrant,
    benefit: Benefit,
    customer: Customer,
    *,
    actor: Actor | str,
    at: datetime,
    effective_at: datetime,
) -> None:
    if benefit.type != BenefitType.METER_CREDIT or benefit.meter_id is None or benefit.units is None:
        return
    row = ledger.lock_meter(customer, benefit.meter_id, at)
    cause = ledger.Cause(actor, at, effective_at, benefit.description, grant.id)
    ledger.credit(row, benefit.units, rollover=benefit.rollover, cause=cause)
    ledger.tell_credited(customer, benefit.meter_id, benefit.units, rollover=benefit.rollover, at=at)
    grant.properties = {
        "last_credited_meter_id": str(benefit.meter_id),
        "last_credited_units": benefit.units,
        "last_credited_at": wire_time(at),
        "rollover": benefit.rollover,
    }


def _take_back(grant: BenefitGrant, benefit: Benefit, customer: Customer, *, actor: Actor | str, at: datetime) -> None:
    """What the grant last gave, as far as it was not used up in a window that is closed."""
    given = grant.properties
    row = ledger.lock_meter(customer, UUID(given["last_credited_meter_id"]), at)
    cause = ledger.Cause(actor, at, at, benefit.description, grant.id)
    ledger.revoke(row, given["last_credited_units"], rollover=given["rollover"], cause=cause)


_EVENTS = {"created": "benefit.granted", "cycled": "benefit.cycled", "revoked": "benefit.revoked"}


def _tell(
    what: str, grant: BenefitGrant, benefit: Benefit, customer: Customer, *, actor: Actor | str, at: datetime
) -> None:
    facts = {"benefit_id": benefit.id, "benefit_grant_id": grant.id, "benefit_type": benefit.type}
    record_event(_EVENTS[what], customer, at=at, **facts)
    announce(
        f"benefit_grant.{what}",
        organization_id=customer.organization_id,
        actor=actor,
        at=at,
        benefit_grant_id=grant.id,
        customer_id=customer.id,
    )
    note_state_change([(customer.id, customer.organization_id)], at=at)

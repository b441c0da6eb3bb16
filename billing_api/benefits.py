"""Benefits, and who has them."""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db.models import Q, QuerySet
from msgspec import UNSET, Meta, UnsetType

from billing.models import Benefit as Row
from billing.models import BenefitGrant as GrantRow
from billing.services import create_benefit, delete_benefit, update_benefit
from billing_api.bodies import Metadata, checked_metadata
from billing_api.calls import Call
from billing_api.customers import own_organization
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import ResourceNotFound, invalid
from billing_api.objects.catalogue import Benefit, benefit_object
from billing_api.objects.subscriptions import BenefitGrant, grant_object
from billing_api.queries import Page, PageQuery, narrowed, paginated, sorted_rows
from billing_api.wire import convert

Description = Annotated[str, Meta(min_length=3, max_length=200)]
_SORTED_BY = {"created_at": "created_at", "description": "description", "type": "type"}
_GRANTS_SORTED_BY = {"created_at": "created_at", "granted_at": "granted_at", "revoked_at": "revoked_at"}


class MeterCreditIn(msgspec.Struct, kw_only=True):
    """How many units are credited on which meter; ``rollover``: what is left at a renewal is kept."""

    units: Annotated[int, Meta(gt=0, lt=2**31)]
    rollover: bool
    meter_id: UUID


class CustomIn(msgspec.Struct, kw_only=True):
    """The merchant's own words."""

    note: Annotated[str, Meta(max_length=5_000)] | None = None


class BenefitCreate(msgspec.Struct, kw_only=True):
    """What customers are to have. ``properties`` as the type asks."""

    type: Literal["meter_credit", "custom"]
    description: Description
    properties: dict[str, Any]
    metadata: Metadata = {}
    organization_id: UUID | None = None


class BenefitUpdate(msgspec.Struct, kw_only=True):
    """What to change. Credit that was given stays."""

    type: Literal["meter_credit", "custom"] | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    properties: dict[str, Any] | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET


class BenefitQuery(PageQuery, kw_only=True):
    """Which benefits."""

    id: list[UUID] = []
    exclude_id: list[UUID] = []
    query: str | None = None
    type_filter: list[str] = []
    type: list[str] = []


class GrantQuery(PageQuery, kw_only=True):
    """Which grants."""

    is_granted: bool | None = None
    customer_id: list[UUID] = []
    external_customer_id: list[str] = []


@endpoint("GET", "benefits/", scope="benefits:read", query=BenefitQuery, answer=PageOf(Benefit))
def list_benefits(call: Call, query: BenefitQuery) -> Page:
    """List benefits, the newest first."""
    rows = narrowed(Row.objects.of(call.organization_id), call.organization_id, query)
    if query.id:
        rows = rows.filter(id__in=query.id)
    if query.exclude_id:
        rows = rows.exclude(id__in=query.exclude_id)
    if query.query:
        rows = rows.filter(description__icontains=query.query)
    if types := [*query.type, *query.type_filter]:
        rows = rows.filter(type__in=types)
    rows = sorted_rows(rows, query.sorting, _SORTED_BY, ["-created_at"])
    return paginated(rows, query, lambda found: list(map(benefit_object, found)))


@endpoint(
    "POST",
    "benefits/",
    scope="benefits:write",
    status=201,
    body=BenefitCreate,
    answer=Benefit,
    example={"type": "custom", "description": "Priority support", "properties": {"note": "Call us any time."}},
)
def create_a_benefit(call: Call, body: BenefitCreate) -> Benefit:
    """Create a benefit: units on a meter, or a note."""
    own_organization(call, body.organization_id)
    row = create_benefit(
        organization_id=call.organization_id,
        type=body.type,
        description=body.description,
        metadata=checked_metadata(body.metadata),
        actor=call.actor,
        at=call.at,
        **_properties(body.type, body.properties),
    )
    return benefit_object(row)


@endpoint("GET", "benefits/{id}", scope="benefits:read", answer=Benefit)
def get_benefit(call: Call, id: UUID) -> Benefit:
    """Get a benefit."""
    return benefit_object(benefit_by_id(call, id))


@endpoint(
    "PATCH",
    "benefits/{id}",
    scope="benefits:write",
    body=BenefitUpdate,
    answer=Benefit,
    example={"description": "Priority support, day and night"},
)
def update_a_benefit(call: Call, id: UUID, body: BenefitUpdate) -> Benefit:
    """Change a benefit; renewals give what is written then."""
    row = benefit_by_id(call, id)
    if body.type not in (UNSET, row.type):
        raise invalid(["body", "type"], "The type of a benefit cannot be changed.")
    changes: dict[str, Any] = {}
    if isinstance(body.description, str):
        changes["description"] = body.description
    if isinstance(body.metadata, dict):
        changes["metadata"] = checked_metadata(body.metadata)
    if isinstance(body.properties, dict):
        changes |= _properties(row.type, body.properties)
    row = update_benefit(
        organization_id=call.organization_id, benefit_id=id, changes=changes, actor=call.actor, at=call.at
    )
    return benefit_object(row)


@endpoint("DELETE", "benefits/{id}", scope="benefits:write", status=204)
def delete_a_benefit(call: Call, id: UUID) -> None:
    """Delete a benefit: it is taken from all products and from everybody who has it."""
    benefit_by_id(call, id)
    delete_benefit(organization_id=call.organization_id, benefit_id=id, actor=call.actor, at=call.at)


@endpoint("GET", "benefits/{id}/grants", scope="benefits:read", query=GrantQuery, answer=PageOf(BenefitGrant))
def list_grants_of_benefit(call: Call, id: UUID, query: GrantQuery) -> Page:
    """List who has a benefit, or had it."""
    benefit_by_id(call, id)
    return _grants(call, query, GrantRow.objects.filter(organization_id=call.organization_id, benefit_id=id))


@endpoint("GET", "benefit-grants/", scope="benefits:read", query=GrantQuery, answer=PageOf(BenefitGrant))
def list_grants(call: Call, query: GrantQuery) -> Page:
    """List who has which benefit, or had it."""
    return _grants(call, query, GrantRow.objects.filter(organization_id=call.organization_id))


def benefit_by_id(call: Call, id: UUID) -> Row:
    """The merchant's benefit. Raises ResourceNotFound."""
    found: Row | None = Row.objects.of(call.organization_id).filter(id=id).first()
    if found is None:
        raise ResourceNotFound()
    return found


def _grants(call: Call, query: GrantQuery, rows: QuerySet[GrantRow]) -> Page:
    if query.organization_id not in ([], [call.organization_id]):
        rows = rows.none()
    if query.is_granted is not None:
        rows = rows.filter(revoked_at__isnull=query.is_granted)
    if query.customer_id or query.external_customer_id:
        rows = rows.filter(
            Q(customer_id__in=query.customer_id) | Q(customer__external_id__in=query.external_customer_id)
        )
    rows = sorted_rows(rows.select_related("customer", "benefit"), query.sorting, _GRANTS_SORTED_BY, ["-created_at"])
    return paginated(rows, query, lambda found: list(map(grant_object, found)))


def _properties(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    shape = MeterCreditIn if kind == "meter_credit" else CustomIn
    found = convert(given, shape, ["body", "properties"], is_text=False)
    if isinstance(found, CustomIn):
        return {"note": found.note or ""}
    return {name: getattr(found, name) for name in found.__struct_fields__}

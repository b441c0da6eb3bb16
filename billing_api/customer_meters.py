"""How customers' meters stand."""

from uuid import UUID

from django.db.models import Q

from billing.models import Customer
from billing.models import CustomerMeter as Row
from billing.state import MeterState, convention_of, meter_states
from billing_api.calls import Call
from billing_api.endpoints import PageOf, endpoint
from billing_api.errors import ResourceNotFound
from billing_api.objects.states import CustomerMeter, customer_meter_object
from billing_api.queries import Page, PageQuery, paginated, sorted_rows

_SORTED_BY = {"created_at": "created_at", "modified_at": "modified_at", "customer_id": "customer_id"}
_SORTED_BY |= {"customer_name": "customer__name", "meter_id": "meter_id"}


class CustomerMeterQuery(PageQuery, kw_only=True):
    """Which customers' meters."""

    customer_id: list[UUID] = []
    external_customer_id: list[str] = []
    meter_id: list[UUID] = []


@endpoint(
    "GET", "customer-meters/", scope="customer_meters:read", query=CustomerMeterQuery, answer=PageOf(CustomerMeter)
)
def list_customer_meters(call: Call, query: CustomerMeterQuery) -> Page:
    """List how meters stand for customers who have used them or been credited on them."""
    people = Customer.objects.of(call.organization_id)
    if query.customer_id or query.external_customer_id:
        people = people.filter(Q(id__in=query.customer_id) | Q(external_id__in=query.external_customer_id))
        # Whoever is asked about by name may have used a meter for the first time just now.
        meter_states(list(people[:100]), at=call.at)
    rows = Row.objects.filter(customer__in=people)
    if query.organization_id not in ([], [call.organization_id]):
        rows = rows.none()
    if query.meter_id:
        rows = rows.filter(meter_id__in=query.meter_id)
    rows = sorted_rows(rows.select_related("customer"), query.sorting, _SORTED_BY, ["-modified_at"])
    return paginated(rows, query, lambda found: _shown(call, found))


@endpoint("GET", "customer-meters/{id}", scope="customer_meters:read", answer=CustomerMeter)
def get_customer_meter(call: Call, id: UUID) -> CustomerMeter:
    """Get how a meter stands for a customer."""
    row = Row.objects.filter(customer__in=Customer.objects.of(call.organization_id), id=id).first()
    if row is None:
        raise ResourceNotFound()
    return _shown(call, [row])[0]


def _shown(call: Call, rows: list[Row]) -> list[CustomerMeter]:
    people = {row.customer_id: row.customer for row in rows}
    states: dict[UUID, MeterState] = {state.id: state for state in meter_states(list(people.values()), at=call.at)}
    convention = convention_of(call.organization_id)
    return [customer_meter_object(states[row.id], convention) for row in rows if row.id in states]

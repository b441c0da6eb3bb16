"""Whether an organization has bought anything: what "first purchase only" and "organizations won" mean."""

from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from accounts.models import Organization
from credits.models import Lot, LotKind
from payments.models import Payment, Status

# A payment that was given back later was a purchase all the same.
_PAID = (Status.SUCCEEDED, Status.REFUNDED)


def has_purchased(organization_id: UUID) -> bool:
    """Whether it has paid for credit or a plan, through a provider or entered by an operator; one query."""
    return Organization.objects.filter(_bought("pk"), pk=organization_id).exists()


def bought_since(organization: str, at: str) -> Q:
    """The same after an instant, as a condition on rows whose fields name the organization and the instant."""
    return _bought(organization, after=OuterRef(at))


def _bought(organization: str, after: OuterRef | None = None) -> Q:
    paid = Payment.objects.filter(organization_id=OuterRef(organization), status__in=_PAID, amount__gt=0)
    lots = Lot.objects.filter(account_id=OuterRef(organization), kind=LotKind.PURCHASED)
    if after is not None:
        paid, lots = paid.filter(paid_at__gte=after), lots.filter(created_at__gte=after)
    return Exists(paid) | Exists(lots)

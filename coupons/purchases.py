"""Whether an organization has bought anything: what "first purchase only" and "customers won" mean."""

from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from credits.models import Lot, LotKind


def has_purchased(organization_id: UUID) -> bool:
    """Whether it has paid for credit or a plan, through a provider or entered by an operator."""
    return Lot.objects.filter(account_id=organization_id, kind=LotKind.PURCHASED).exists()


def bought_since(organization: str) -> Exists:
    """The same as a condition on rows whose field ``organization`` names the organization."""
    return Exists(Lot.objects.filter(Q(kind=LotKind.PURCHASED), account_id=OuterRef(organization)))

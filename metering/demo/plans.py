"""What the demo companies do with their subscriptions: months on invoice, switches, a cancellation, a trial."""

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from accounts.models import Organization
from accounts.principal import Actor
from core.periods import period_bounds
from metering.demo.cast import OPERATOR
from metering.demo.shapes import Company
from payments.models import Payment, Status
from payments.services import mark_paid
from tiers.close.paper import write_due_statements
from tiers.close.services import close_due
from tiers.models import Collection, Subscription
from tiers.services import begin_period, cancel_subscription, start_trial, switch_tier

_PAID_AFTER = timedelta(days=2)
_TRIED = "professional"


def begin(organization: Organization, company: Company, *, at: datetime) -> None:
    """The first month, counted in the company's zone; who pays for a tier gets an invoice, and credit at once."""
    for each in (organization, organization.test_twin):
        row = Subscription.objects.open().select_related("organization", "tier").get(organization=each)
        row.zone = company.zone
        row.period_starts_at, row.period_ends_at = period_bounds(row.anchor_at, 0, ZoneInfo(company.zone))
        if row.price and not each.is_test:
            row.collection = Collection.MANUAL
        row.save(update_fields=["zone", "period_starts_at", "period_ends_at", "collection"])
        if row.collection == Collection.MANUAL:
            begin_period(subscription=row, at=at, actor=_owner(company).label)


def switch(organization: Organization, company: Company, slug: str, *, at: datetime) -> None:
    """To another tier, as the owner would."""
    switch_tier(organization_id=organization.id, tier_slug=slug, at=at, actor=_owner(company))


def close_months(*, at: datetime) -> None:
    """What the jobs of a night do."""
    close_due(at=at)
    write_due_statements(at=at)


def book_transfers(organization: Organization, *, at: datetime) -> None:
    """Invoices are paid within two days."""
    due = Payment.objects.filter(organization=organization, status=Status.OPEN, created_at__lte=at - _PAID_AFTER)
    for payment in due.order_by("created_at"):
        mark_paid(payment_id=payment.id, actor=OPERATOR.email, reason="Bank transfer arrived", at=at)


def _use_own_key(organization: Organization, company: Company, *, at: datetime) -> None:
    tier = Subscription.objects.open().select_related("tier").get(organization=organization).tier
    actor = _owner(company)
    switch_tier(organization_id=organization.id, tier_slug=tier.slug, option="byok", at=at, actor=actor)


def _cancel(organization: Organization, company: Company, *, at: datetime) -> None:
    cancel_subscription(organization_id=organization.id, at=at, actor=_owner(company))


def _try(organization: Organization, company: Company, *, at: datetime) -> None:
    start_trial(organization_id=organization.id, tier_slug=_TRIED, at=at, actor=_owner(company))


def _owner(company: Company) -> Actor:
    return Actor(company.people[0].email)


ACTS: dict[str, Callable[..., None]] = {"own key": _use_own_key, "cancel": _cancel, "try": _try}

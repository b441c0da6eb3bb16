"""Having told that customers' states have changed, and rows for meters that they have begun to use."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.principal import Actor
from billing.announcing import announce, note_state_change
from billing.errors import InvalidValue, NotFound
from billing.locks import lock_customer
from billing.models import BalanceConvention, Customer, CustomerMeter, MerchantSettings, StateNotice
from billing.services import ledger
from billing.services.closing import close_customer
from billing.usage import known_meters


def note_usage(
    *,
    organization_id: UUID,
    at: datetime,
    customer_ids: Iterable[UUID] = (),
    external_ids: Iterable[str] = (),
) -> None:
    """Usage of these customers was received: have their changed states told soon. Unknown ids are passed over."""
    named = Q(pk__in=set(customer_ids)) | Q(external_id__in=set(external_ids))
    note_state_change(Customer.objects.of(organization_id).filter(named).values_list("pk", "organization_id"), at=at)


def tell_states(*, at: datetime, limit: int = 500) -> int:
    """Announce the states that have changed and been gathered for long enough; how many.

    Any number of workers may do so at once. A change that comes meanwhile waits for the row and writes a new one.
    """
    with transaction.atomic():
        due = StateNotice.objects.due(at).select_related("customer").select_for_update(skip_locked=True, of=("self",))
        notices = list(due[:limit])
        for notice in notices:
            if notice.customer.deleted_at is None:
                announce(
                    "customer.state_changed",
                    organization_id=notice.organization_id,
                    actor="billing",
                    at=at,
                    customer_id=notice.customer_id,
                )
        StateNotice.objects.filter(pk__in=[notice.pk for notice in notices]).delete()
        return len(notices)


def remember_meters(customer: Customer, meter_ids: Iterable[UUID], *, at: datetime) -> None:
    """Give each meter that the customer has used a row of his, so that it has an id of its own."""
    CustomerMeter.objects.bulk_create(
        [CustomerMeter(customer=customer, meter_id=meter_id, created_at=at) for meter_id in sorted(meter_ids)],
        ignore_conflicts=True,
    )


@transaction.atomic
def credit_meter(
    *,
    organization_id: UUID,
    customer_id: UUID,
    meter_id: UUID,
    units: int,
    rollover: bool,
    reason: str,
    actor: Actor | str,
    at: datetime,
) -> CustomerMeter:
    """Give a customer units by hand. Raises NotFound, InvalidValue."""
    if units <= 0:
        raise InvalidValue(["units"], "Units must be above zero.", value=units)
    if meter_id not in known_meters(organization_id, [meter_id]):
        raise InvalidValue(["meter_id"], "Meter not found.", value=str(meter_id))
    close_customer(customer_id=customer_id, at=at)
    customer = lock_customer(customer_id)
    if customer.organization_id != organization_id or customer.deleted_at is not None:
        raise NotFound("There is no such customer.")
    row = ledger.lock_meter(customer, meter_id, at)
    ledger.credit(row, units, rollover=rollover, cause=ledger.Cause(actor, at, at, reason))
    ledger.tell_credited(customer, meter_id, units, rollover=rollover, at=at)
    note_state_change([(customer.id, organization_id)], at=at)
    return row


def set_balance_convention(*, organization_id: UUID, convention: str) -> MerchantSettings:
    """Choose the sign of ``balance`` where it is sent to clients."""
    values = {"balance_convention": BalanceConvention(convention)}
    return MerchantSettings.objects.update_or_create(organization_id=organization_id, defaults=values)[0]

"""Saved ways to pay."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Organization
from accounts.services import lock_organization
from outbox.services import publish
from payments.errors import UnknownPaymentMethod
from payments.models import AutoTopUp, PaymentMethod
from payments.providers import provider_called, provider_name_for
from payments.providers.port import MethodFacts


@transaction.atomic
def save_method(*, organization_id: UUID, provider: str, facts: MethodFacts, actor: str, at: datetime) -> PaymentMethod:
    """Keep a payment method and make it the default: it was used last. Saving it again changes nothing else.

    A rule for automatic top-ups that a declined card had paused goes on; one that a dispute stopped does not.
    """
    lock_organization(organization_id)
    _kept(organization_id, provider).update(is_default=False)
    method, is_new = PaymentMethod.objects.update_or_create(
        organization_id=organization_id,
        provider=provider,
        reference=facts.reference,
        defaults={"customer": facts.customer, "label": facts.label[:80], "is_default": True, "removed_at": None},
        create_defaults={
            "customer": facts.customer,
            "label": facts.label[:80],
            "is_default": True,
            "created_at": at,
        },
    )
    _resume_top_ups(organization_id)
    if is_new:
        told = {"payment_method_id": method.id, "label": method.label}
        publish(type="payment_method.saved", organization_id=organization_id, data=told, actor=actor, at=at)
    return method


@transaction.atomic
def set_default_method(*, organization_id: UUID, method_id: UUID, actor: str, at: datetime) -> PaymentMethod:
    """Charge this one from now on. Raises UnknownPaymentMethod."""
    lock_organization(organization_id)
    method = _one(organization_id, method_id)
    if not method.is_default:
        _kept(organization_id, method.provider).update(is_default=False)
        method.is_default = True
        method.save(update_fields=["is_default"])
        _resume_top_ups(organization_id)
        told = {"payment_method_id": method.id, "label": method.label}
        publish(type="payment_method.chosen", organization_id=organization_id, data=told, actor=actor, at=at)
    return method


@transaction.atomic
def remove_method(*, organization_id: UUID, method_id: UUID, actor: str, at: datetime) -> None:
    """Never charge it again; the newest other one becomes the default. Raises UnknownPaymentMethod."""
    lock_organization(organization_id)
    method = _one(organization_id, method_id)
    was_default = method.is_default
    method.is_default, method.removed_at = False, at
    method.save(update_fields=["is_default", "removed_at"])
    if was_default and (newest := _kept(organization_id, method.provider).order_by("-created_at").first()):
        newest.is_default = True
        newest.save(update_fields=["is_default"])
    told = {"payment_method_id": method.id, "label": method.label}
    publish(type="payment_method.removed", organization_id=organization_id, data=told, actor=actor, at=at)


def open_saving(*, organization_id: UUID) -> str:
    """Address of the provider's page for saving a method without a payment; call it outside transactions.

    Raises SavingNotOffered, ProviderUnavailable, ProviderRefused.
    """
    organization = Organization.objects.only("mode").get(pk=organization_id)
    name = provider_name_for(is_test=organization.is_test)
    return provider_called(name).open_saving(organization_id, customer=customer_of(organization_id, name))


def default_method(organization_id: UUID, provider: str) -> PaymentMethod | None:
    """What automatic payments through ``provider`` charge."""
    return PaymentMethod.objects.filter(organization_id=organization_id, provider=provider, is_default=True).first()


def methods_of(organization_id: UUID) -> QuerySet[PaymentMethod]:
    """What can be charged now: kept by the provider that collects from the organization at present."""
    organization = Organization.objects.only("mode").get(pk=organization_id)
    return _kept(organization_id, provider_name_for(is_test=organization.is_test))


def customer_of(organization_id: UUID, provider: str) -> str:
    """Whom the provider keeps the organization's methods for; empty when it does not know it yet."""
    known = PaymentMethod.objects.filter(organization_id=organization_id, provider=provider).exclude(customer="")
    return known.order_by("-created_at").values_list("customer", flat=True).first() or ""


def _resume_top_ups(organization_id: UUID) -> None:
    """Go on with a rule that a declined card had paused. After a dispute it takes its owner's word: a card that some
    purchase left behind is none."""
    paused = AutoTopUp.objects.filter(organization_id=organization_id, paused_by_dispute=False)
    paused.update(paused_at=None, pause_reason="")


def _kept(organization_id: UUID, provider: str) -> QuerySet[PaymentMethod]:
    return PaymentMethod.objects.filter(organization_id=organization_id, provider=provider, removed_at__isnull=True)


def _one(organization_id: UUID, method_id: UUID) -> PaymentMethod:
    method = methods_of(organization_id).filter(pk=method_id).first()
    if method is None:
        raise UnknownPaymentMethod
    return method

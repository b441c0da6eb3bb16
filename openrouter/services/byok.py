"""Customers' own OpenRouter keys: asked about themselves before they are stored, used for their owner only."""

import hashlib
import re
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.models import Organization
from accounts.principal import Actor
from core.errors import NotFound
from openrouter.client import OpenRouterClient, OwnKey, ProviderError, ProviderUnauthorized
from openrouter.errors import ByokKeyRefused, ByokKeyUnreadable, ByokNotAllowed, NoByokKey, ProviderNotAvailable
from openrouter.fields import UndecryptableSecret
from openrouter.models import ByokCredential, ProviderAccount, RetiredKey
from openrouter.upstreams import upstream_for
from outbox.services import publish
from tiers.querysets import terms_for

_LOOKS_LIKE_A_KEY = re.compile(r"sk-or-[A-Za-z0-9_\-]{8,200}")


def hash_of(secret: str) -> str:
    """How the provider names a key: its SHA-256, hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def store_byok(*, organization_id: UUID, secret: str, actor: Actor, at: datetime) -> ByokCredential:
    """Check a customer's own key with the provider and keep it, in place of an earlier one.

    Raises ByokNotAllowed, ByokKeyRefused, ProviderNotAvailable; then nothing changed.
    """
    organization = Organization.objects.filter(pk=organization_id).first()
    if organization is None:
        raise NotFound()
    if not terms_for(organization_id).byok_allowed:
        raise ByokNotAllowed()
    own = _checked(organization.mode, secret.strip())
    return _keep(organization, secret.strip(), own, actor, at)


def _checked(mode: str, secret: str) -> OwnKey:
    """What the provider says about the key. Raises ByokKeyRefused, ProviderNotAvailable."""
    if not _LOOKS_LIKE_A_KEY.fullmatch(secret):
        raise ByokKeyRefused("An OpenRouter key starts with sk-or-.")
    if _is_ours(secret):
        raise ByokKeyRefused("This key belongs to the operator of this service.")
    try:
        own = OpenRouterClient(upstream_for(mode).base_url, "").own_key(secret)
    except ProviderUnauthorized:
        raise ByokKeyRefused("OpenRouter does not accept this key: it is wrong, disabled or expired.") from None
    except ProviderError:
        raise ProviderNotAvailable("The key could not be checked with OpenRouter; try again in a moment.") from None
    if own.is_management_key:
        raise ByokKeyRefused("This is a management key; it cannot call models. Make an API key instead.")
    return own


def _is_ours(secret: str) -> bool:
    hash = hash_of(secret)
    configured = (
        settings.OPENROUTER_MANAGEMENT_KEY,
        settings.OPENROUTER_API_KEY,
        settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY,
        settings.OPENROUTER_SANDBOX_API_KEY,
    )
    return (
        secret in configured
        or ProviderAccount.objects.filter(hash=hash).exists()
        or RetiredKey.objects.filter(hash=hash).exists()
    )


@transaction.atomic
def _keep(organization: Organization, secret: str, own: OwnKey, actor: Actor, at: datetime) -> ByokCredential:
    credential, _ = ByokCredential.objects.update_or_create(
        organization=organization,
        defaults={
            "secret": secret,
            "hash": hash_of(secret),
            "last_four": secret[-4:],
            "label": own.label,
            "is_enabled": True,
            "verified_at": at,
            "last_error": "",
            "created_at": at,
        },
    )
    _tell(credential, "stored", actor, at)
    return credential


@transaction.atomic
def remove_byok(*, organization_id: UUID, actor: Actor, at: datetime) -> None:
    """Forget a customer's own key; calls use the managed account again. Raises NoByokKey."""
    credential = ByokCredential.objects.select_for_update().filter(organization_id=organization_id).first()
    if credential is None:
        raise NoByokKey()
    _tell(credential, "removed", actor, at)
    credential.delete()


def verify_byok(*, credential: ByokCredential, at: datetime) -> bool:
    """Ask the provider again about a stored key; one that it refuses is switched off.

    Raises ByokKeyUnreadable, ProviderError.
    """
    upstream = upstream_for(credential.organization.mode)
    try:
        OpenRouterClient(upstream.base_url, "").own_key(credential.secret)
    except UndecryptableSecret:
        raise ByokKeyUnreadable from None
    except ProviderUnauthorized as error:
        _switch_off(credential, str(error), at)
        return False
    same = ByokCredential.objects.filter(pk=credential.pk, hash=credential.hash)
    same.update(verified_at=at, is_enabled=True, last_error="")
    return True


@transaction.atomic
def _switch_off(credential: ByokCredential, reason: str, at: datetime) -> None:
    working = ByokCredential.objects.filter(pk=credential.pk, hash=credential.hash, is_enabled=True)
    if working.update(is_enabled=False, last_error=reason[:300]):
        _tell(credential, "refused", "provider sync", at)


def _tell(credential: ByokCredential, news: str, actor: Actor | str, at: datetime) -> None:
    publish(
        type=f"openrouter.byok.{news}",
        organization_id=credential.organization_id,
        data={"last_four": credential.last_four, "label": credential.label},
        actor=actor,
        at=at,
    )

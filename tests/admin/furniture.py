"""Rows of every model that the back office shows, with secrets in them that nobody may see."""

from datetime import timedelta
from itertools import count
from typing import Any

from allauth.account.models import EmailAddress
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.utils import timezone

from accounts.models import Organization, User
from core.ids import uuid7
from credits.services import HoldRequest, grant_credits, place_hold, set_spend_limit
from metering.services.price_book import set_price
from openrouter.models import (
    Attempt,
    ByokCredential,
    KeyReading,
    ProviderAccount,
    ReconciliationDifference,
    ReconciliationRun,
    RetiredKey,
)
from tests.builders import make_call, make_customer, make_key, make_user, usd
from tiers.services import create_tier

_numbers = count(1)


def furnish(sets: int) -> list[str]:
    """``sets`` more of everything; the secrets that went into it."""
    return [secret for _ in range(sets) for secret in _furnish_once(next(_numbers))]


def shown_models() -> list[type[Model]]:
    """Every model that the back office shows."""
    return sorted(admin.site._registry, key=lambda model: model._meta.label)


def _furnish_once(number: int) -> list[str]:
    now = timezone.now()
    password = f"a long enough secret {number}"
    owner = make_user(password=password, name=f"Person {number}")
    tier = create_tier(at=now, slug=f"tier-{number}", name=f"Tier {number}")
    customer = make_customer(owner=owner, tier_slug=tier.slug, at=now)
    key, api_secret = make_key(customer, at=now, spend_limit=usd("5"))
    set_spend_limit(organization_id=customer.id, limit_id=key.id, ceiling=usd("5"))
    _use(customer, number, api_key_id=key.id)
    _set_price(number)
    _watch_doors(owner, number)
    secrets = [password, owner.password, api_secret, settings.SECRET_KEY, *settings.FIELD_ENCRYPTION_KEYS]
    return secrets + _deal_with_provider(customer, number)


def _use(customer: Organization, number: int, **fields: Any) -> None:
    now = timezone.now()
    grant_credits(
        organization_id=customer.id, amount=usd("20"), kind="bonus", reason="Hello", actor="test", at=now, key="hello"
    )
    hold = place_hold(HoldRequest(customer.id, usd("2"), f"hold {number}", now + timedelta(hours=1)), at=now)
    place_hold(HoldRequest(customer.id, usd("1"), f"open {number}", now + timedelta(hours=1)), at=now)
    make_call(customer, "0.5", occurred_at=now, hold_id=hold.hold_id, **fields)


def _set_price(number: int) -> None:
    now = timezone.now()
    set_price(
        model_id=f"acme/model-{number}",
        pricing={"prompt": "0.000001", "completion": "0.000002"},
        effective_from=now,
        note="test",
        actor="test",
        at=now,
    )


def _watch_doors(person: User, number: int) -> None:
    Group.objects.create(name=f"Group {number}")
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    seen: dict[str, Any] = {"username": person.email, "ip_address": "192.0.2.1", "path_info": "/accounts/login/"}
    AccessAttempt.objects.create(
        **seen, user_agent=f"browser {number}", post_data="password=****", failures_since_start=1
    )
    AccessLog.objects.create(**seen, user_agent="browser")
    AccessFailureLog.objects.create(**seen, user_agent="browser")


def _deal_with_provider(customer: Organization, number: int) -> list[str]:
    now = timezone.now()
    sub_key, own_key = f"sk-or-v1-subkey{number:050}", f"sk-or-v1-ownkey{number:050}"
    account, _ = ProviderAccount.objects.update_or_create(
        organization=customer,
        defaults={"name": f"farebox {number}", "secret": sub_key, "hash": f"{number:064}", "status": "active"},
    )
    due = {"retired_at": now, "delete_after": now, "next_attempt_at": now}
    RetiredKey.objects.create(account=account, hash=f"{number:064}", reason="rotated", **due)
    ByokCredential.objects.create(organization=customer, secret=own_key, last_four=f"{number:04}"[-4:], verified_at=now)
    Attempt.objects.create(organization=customer, hold_id=uuid7(), number=1, model="acme/model", started_at=now)
    KeyReading.objects.create(key_hash=f"{number:064}", usage=1, booked=1, taken_at=now)
    ReconciliationRun.objects.create(started_at=now)
    ReconciliationDifference.objects.create(
        scope="call", organization=customer, subject=f"gen-{number}", ours=1, theirs=2, difference=1, owner="gateway"
    )
    stored = ProviderAccount.objects.extra(select={"stored": "secret"}).get(pk=account.pk).stored
    return [sub_key, own_key, stored]

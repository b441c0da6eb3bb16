"""Making coupons, singly and by the thousand."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.models import Mode
from accounts.principal import Actor
from core.errors import InvalidRequest
from core.ids import uuid7
from coupons.codes import (
    LONGEST,
    LONGEST_PREFIX,
    RESERVED,
    SHORTEST,
    canonical_code,
    canonical_prefix,
    random_code,
)
from coupons.errors import CouponCodeTaken
from coupons.models import Coupon, CouponBatch
from coupons.terms import Terms, check_terms
from coupons.words import offer_of
from outbox.services import publish

LARGEST_BATCH = 10_000
_ROWS = 1_000


@transaction.atomic
def create_coupon(*, code: str | None, terms: Terms, actor: Actor, at: datetime, mode: str = Mode.LIVE) -> Coupon:
    """A coupon that organizations of ``mode`` can redeem; without ``code`` an unguessable one is drawn.

    Raises InvalidRequest, UnknownTier, CouponCodeTaken; then nothing was written.
    """
    chosen = random_code() if code is None else _checked_code(code)
    check_terms(terms, at=at)
    coupon = Coupon(code=chosen, mode=mode, created_by=actor.label[:120], created_at=at, **_columns(terms))
    try:
        with transaction.atomic():
            coupon.save(force_insert=True)
    except IntegrityError:
        raise CouponCodeTaken(f"There is a coupon {chosen} already.") from None
    publish(type="coupon.created", organization_id=None, data=facts_of(coupon), actor=actor, at=at)
    return coupon


@transaction.atomic
def generate_batch(
    *,
    prefix: str,
    count: int,
    terms: Terms,
    actor: Actor,
    at: datetime,
    mode: str = Mode.LIVE,
    batch_id: UUID | None = None,
) -> CouponBatch:
    """``count`` unguessable codes that begin with ``prefix`` (may be empty) on the same terms, all or none.

    The limit per organization counts over the batch. Replaying ``batch_id`` returns the first batch. Raises
    InvalidRequest, UnknownTier.
    """
    if batch_id and (first := CouponBatch.objects.filter(pk=batch_id).first()):
        return first
    beginning = _checked_prefix(prefix)
    if not 1 <= count <= LARGEST_BATCH:
        raise _wrong("count", f"From 1 to {LARGEST_BATCH} codes at once.")
    check_terms(terms, at=at)
    batch = CouponBatch.objects.create(
        id=batch_id or uuid7(),
        prefix=beginning,
        size=count,
        note=terms.note,
        partner=terms.partner,
        created_by=actor.label[:120],
        created_at=at,
    )
    columns = {**_columns(terms), "mode": mode, "batch": batch, "created_by": batch.created_by, "created_at": at}
    coupons = [Coupon(code=code, **columns) for code in _new_codes(beginning, count, mode)]
    Coupon.objects.bulk_create(coupons, batch_size=_ROWS)
    facts = {**facts_of(coupons[0]), "batch_id": batch.id, "prefix": beginning, "count": count}
    del facts["code"], facts["coupon_id"]
    publish(type="coupon.batch_generated", organization_id=None, data=facts, actor=actor, at=at)
    return batch


def facts_of(coupon: Coupon) -> dict[str, Any]:
    """A coupon for the audit trail."""
    return {
        "coupon_id": coupon.id,
        "code": coupon.code,
        "mode": coupon.mode,
        "type": coupon.kind,
        "offer": offer_of(coupon),
        "max_uses": coupon.max_uses,
        "partner": coupon.partner,
        "reason": coupon.note,
    }


def _columns(terms: Terms) -> dict[str, Any]:
    columns = asdict(terms)
    limits = columns.pop("limits")
    return {**columns, **limits, "tiers": list(limits["tiers"])}


def _checked_code(text: str) -> str:
    code = canonical_code(text)
    if code is None:
        raise _wrong("code", f"{SHORTEST} to {LONGEST} letters A to Z, digits, dashes and underscores.")
    if code in RESERVED:
        raise _wrong("code", f"{code} is a word of the API's paths.")
    return code


def _checked_prefix(text: str) -> str:
    if not text.strip():
        return ""
    prefix = canonical_prefix(text)
    if prefix is None:
        raise _wrong("prefix", f"At most {LONGEST_PREFIX} letters A to Z, digits, dashes and underscores.")
    return prefix.rstrip("-")


def _wrong(field: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {detail}", errors=[{"field": field, "code": "invalid", "detail": detail}])


def _new_codes(prefix: str, count: int, mode: str) -> Iterator[str]:
    """Codes that no coupon has; two draws are hardly ever the same, but hardly ever is not never."""
    drawn: set[str] = set()
    while len(drawn) < count:
        drawn.update(random_code(prefix) for _ in range(count - len(drawn)))
        drawn -= set(Coupon.objects.filter(mode=mode, code__in=drawn).values_list("code", flat=True))
    yield from sorted(drawn)

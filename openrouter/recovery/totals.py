"""Calls without a record: what their key has used in all at the provider, less what our books know of, is theirs.

That only holds at a moment when the key is quiet: no other call with it is running, and none has ended so recently that
the provider's sum may lack it. Then the difference belongs to the calls in question, whichever of them it was.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from core.ids import first_uuid7_at
from core.money import USD_STEP, ZERO, quantize
from credits.models import Hold, HoldPurpose
from openrouter.client import ProviderError, ProviderNotFound, client_for, reader_for
from openrouter.gateway.access import SHARED, hash_of_key
from openrouter.models import Attempt, KeyReading, RetiredKey
from openrouter.reconciliation.failed import price_failed_requests
from openrouter.recovery.settling import settle_by_shares
from openrouter.recovery.unresolved import Unresolved
from openrouter.services.own_calls import own_calls_running
from openrouter.upstreams import Upstream, upstream_for, upstreams
from outbox.services import publish

log = structlog.get_logger(__name__)
RESOLVED_BY = "provider total"
# Shares are this round, so that a markup of whole hundredths of a percent leaves nothing of them to be rounded; the
# odd rest is one call's.
_SHARE_STEP = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class Reading:
    """What both sides say of a quiet key, and by how much the provider's sum is above what is explained, in USD."""

    usage: Decimal
    booked: Decimal
    unexplained: Decimal


def resolve_by_totals(calls: Sequence[Unresolved]) -> list[Unresolved]:
    """Settle calls by the totals of their keys; the calls whose key cannot tell yet."""
    by_key: defaultdict[tuple[str, str], list[Unresolved]] = defaultdict(list)
    for call in calls:
        by_key[call.ticket.mode, call.ticket.key_hash].append(call)
    left = []
    for (mode, key_hash), group in by_key.items():
        if not _resolve(mode, key_hash, group):
            left += group
    return left


def _resolve(mode: str, key_hash: str, calls: list[Unresolved]) -> bool:
    is_shared = any(call.ticket.key_kind == SHARED for call in calls)
    besides = {call.hold.id for call in calls}
    reading = read_quiet_key(mode, key_hash, besides=besides, needs_base=is_shared)
    if reading is not None and reading.unexplained > 0 and _has_billed_failures(mode, key_hash):
        reading = read_quiet_key(mode, key_hash, besides=besides, needs_base=is_shared)
    if reading is None or reading.unexplained < -_rounding(key_hash):
        return False
    shares = share_out(max(reading.unexplained, ZERO), [call.ticket.cost_bound for call in calls])
    if not settle_by_shares(list(zip(calls, shares, strict=True)), RESOLVED_BY):
        return False
    booked = reading.booked + sum(shares, ZERO)
    _keep(key_hash, reading.usage, booked)
    if (rest := reading.unexplained - sum(shares, ZERO)) > 0:
        log.error("recovery.unexplained_rest", key=key_hash[:12], amount=str(rest))
        publish(
            type="reconciliation.drift",
            organization_id=None,
            data={"scope": "key", "subject": key_hash, "unexplained": rest, "found_by": "recovery"},
            actor="recovery",
        )
    return True


def read_quiet_key(mode: str, key_hash: str, *, besides: Iterable[UUID], needs_base: bool) -> Reading | None:
    """Compare both sides at a quiet moment; None when there is none now, or the provider cannot be asked.

    ``besides`` are the calls in question. A key that was used before we kept books needs an earlier reading.
    """
    base = KeyReading.objects.filter(pk=key_hash).first()
    if base is None and needs_base:
        return None
    calls = set(besides)
    before = _booked(key_hash)
    if not is_quiet(key_hash, calls):
        return None
    try:
        usage = quantize(_usage_of(key_hash, upstream_for(mode)))
    except ProviderError as error:
        log.warning("recovery.key_unreadable", key=key_hash[:12], reason=str(error))
        return None
    if not is_quiet(key_hash, calls) or _booked(key_hash) != before:
        return None
    earlier = base.usage - base.booked if base is not None else ZERO
    return Reading(usage, before, usage - before - earlier)


def _has_billed_failures(mode: str, key_hash: str) -> bool:
    """Whether failed requests with the key were billed, by their records: our cost, no lost call's. Noted on them."""
    try:
        return price_failed_requests(key_hash, reader_for(mode), at=timezone.now()) > 0
    except ProviderError as error:
        log.warning("recovery.failures_unreadable", key=key_hash[:12], reason=str(error))
        return False


def _usage_of(key_hash: str, upstream: Upstream) -> Decimal:
    """What the provider says of a key; of a deleted one what it said last. Raises ProviderError."""
    if upstream.can_be_asked and hash_of_key(upstream.api_key) == key_hash:  # also without a management key
        return reader_for(upstream).own_key(upstream.api_key).usage
    try:
        return client_for(upstream).get_key(key_hash).usage
    except ProviderNotFound:
        retired = RetiredKey.objects.filter(hash=key_hash).first()
        if retired is None or retired.usage is None:
            raise
        return retired.usage


def take_first_readings(*, at: datetime) -> int:
    """Note what the shared keys had used before their first call; how many readings were taken."""
    taken = 0
    for upstream in upstreams():
        key_hash = hash_of_key(upstream.api_key) if upstream.api_key else ""
        if not key_hash or not upstream.can_be_asked or KeyReading.objects.filter(pk=key_hash).exists():
            continue
        reading = read_quiet_key(upstream.modes[0], key_hash, besides=(), needs_base=False)
        if reading is not None:
            KeyReading.objects.get_or_create(
                pk=key_hash, defaults={"usage": reading.usage, "booked": reading.booked, "taken_at": at}
            )
            taken += 1
    return taken


def share_out(amount: Decimal, bounds: Sequence[Decimal]) -> list[Decimal]:
    """``amount`` USD in proportion to ``bounds`` and never above one of them; exact as long as the bounds suffice."""
    room = sum(bounds, ZERO)
    if amount >= room:
        return list(bounds)
    shares = [(amount * bound / room).quantize(_SHARE_STEP, rounding=ROUND_DOWN) for bound in bounds]
    rest = amount - sum(shares, ZERO)
    for place, bound in enumerate(bounds):
        more = min(rest, bound - shares[place])
        shares[place] += more
        rest -= more
    return shares


def _booked(key_hash: str) -> Decimal:
    return Attempt.objects.filter(key_hash=key_hash).aggregate(total=Coalesce(Sum("cost"), ZERO))["total"]


def _rounding(key_hash: str) -> Decimal:
    """The most by which our sum can be above the provider's although no call differs: each cost of ours was rounded."""
    return Attempt.objects.filter(key_hash=key_hash, cost__isnull=False).count() * USD_STEP / 2


def is_quiet(key_hash: str, calls: set[UUID]) -> bool:
    """Whether no other call than ``calls`` is running with the key, or has ended within the provider's lag."""
    running = Hold.objects.open().filter(purpose=HoldPurpose.GATEWAY, context__key_hash=key_hash)
    if running.exclude(id__in=calls).exists() or own_calls_running(key_hash):
        return False
    lag = timedelta(seconds=settings.GATEWAY_PROVIDER_LAG_SECONDS)
    if not lag:
        return True
    # An attempt gets its id when its call is settled.
    settled_since = first_uuid7_at(timezone.now() - lag)
    return not Attempt.objects.filter(id__gte=settled_since, key_hash=key_hash).exists()


def _keep(key_hash: str, usage: Decimal, booked: Decimal) -> None:
    KeyReading.objects.update_or_create(
        pk=key_hash, defaults={"usage": usage, "booked": booked, "taken_at": timezone.now()}
    )

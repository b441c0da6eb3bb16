"""Our side: what our books say that each provider key, day and model has cost."""

import hashlib
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q, Sum, Value
from django.utils import timezone

from core.money import ZERO
from credits.models import Hold, HoldPurpose
from metering.models import LanguageModel
from openrouter.models import Attempt, ProviderAccount, RetiredKey
from openrouter.reconciliation.matching import is_sum_of_some
from openrouter.upstreams import Upstream

# Clocks of different machines differ, and a call is noted a little after it began.
_CLOCKS = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class OurKeys:
    """Hashes of the keys that we pay for at one provider account, and whose they are (None: shared by all)."""

    current: dict[str, UUID | None]
    retired: dict[str, RetiredKey]

    @property
    def all(self) -> set[str]:
        """Every hash."""
        return {*self.current, *self.retired}


def our_keys(upstream: Upstream) -> OurKeys:
    """The keys of a provider account that are ours."""
    accounts = ProviderAccount.objects.in_modes(upstream.modes).exclude(hash="")
    current: dict[str, UUID | None] = dict(accounts.values_list("hash", "organization_id"))
    if upstream.api_key:
        current[hashlib.sha256(upstream.api_key.encode()).hexdigest()] = None
    retired = RetiredKey.objects.filter(account__organization__mode__in=upstream.modes).select_related("account")
    return OurKeys(current, {key.hash: key for key in retired if key.hash not in current})


@dataclass(frozen=True, slots=True)
class Moment:
    """What our books said of some keys at an instant, and which of their calls were running then.

    The running calls are read before the sums. A call that ends in between is in both; none is in neither.
    ``counted`` names the requests among the sums that could be taken for later ones.
    """

    at: datetime
    running: dict[str, set[UUID]]
    costs: dict[str, Decimal]
    counted: set[UUID]

    def cost(self, hashes: Collection[str]) -> Decimal:
        """Recorded cost of these keys in USD."""
        return sum((self.costs.get(hash, ZERO) for hash in hashes), ZERO)


def moment(hashes: Collection[str]) -> Moment:
    """Our books now."""
    at = timezone.now()
    running = running_calls(hashes)
    # One statement, so that sums and counted requests belong together.
    recent = ArrayAgg("id", filter=_around(set().union(*running.values()), at), default=Value([]))
    rows = Attempt.objects.filter(key_hash__in=hashes).values("key_hash").annotate(total=Sum("cost"), recent=recent)
    costs, counted = {}, set()
    for row in rows:
        costs[row["key_hash"]] = row["total"] or ZERO
        counted.update(row["recent"])
    return Moment(at, running, costs, counted)


def _around(calls: set[UUID], at: datetime) -> Q:
    """Requests of these calls, or begun about ``at`` or later."""
    return Q(hold_id__in=calls) | Q(started_at__gte=at - _CLOCKS)


def running_calls(hashes: Collection[str]) -> dict[str, set[UUID]]:
    """Open gateway holds by the key that their call was made with."""
    wanted = set(hashes)
    found: dict[str, set[UUID]] = defaultdict(set)
    holds = Hold.objects.open().filter(purpose=HoldPurpose.GATEWAY).values_list("id", "context__key_hash")
    for hold_id, hash in holds:
        if hash in wanted:
            found[hash].add(hold_id)
    return found


def agrees(difference: Decimal, then: Moment, hashes: Collection[str]) -> bool | None:
    """Whether ``difference`` (theirs − ours at ``then``) is exactly the cost of calls that ran around that moment.

    None: it may be, but some of those calls have not ended, or there are too many of them.
    """
    if difference == ZERO:
        return True
    calls = set().union(*(then.running.get(hash, set()) for hash in hashes))
    calls |= set().union(*running_calls(hashes).values())
    later = Attempt.objects.filter(_around(calls, then.at), key_hash__in=hashes, cost__isnull=False)
    costs = [cost for id, cost in later.values_list("id", "cost") if cost is not None and id not in then.counted]
    explained = is_sum_of_some(difference, costs)
    if explained is False and difference > 0 and Hold.objects.open().filter(id__in=calls).exists():
        return None
    return explained


# ---------------------------------------------------------------- days


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """A UTC day as [start, end)."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1)


class Slugs:
    """Names of models as the provider's activity writes them: canonical slugs."""

    def __init__(self) -> None:
        self._slugs = {id: slug or id for id, slug in LanguageModel.objects.values_list("id", "canonical_slug")}
        self._known = set(self._slugs.values())

    def of(self, name: str) -> str:
        """The canonical slug behind an id, with or without a routing suffix; an unknown name stays as it is."""
        if name in self._slugs:
            return self._slugs[name]
        base = name.rpartition(":")[0]
        if name not in self._known and base:
            return self.of(base)
        return name

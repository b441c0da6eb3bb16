"""Prompts that begin alike: known without a single prompt, by their name and by sizes that hardly differ.

Calls that carry the same ``prompt_id`` (or ``feature``) and whose prompts are large and nearly of one size have most
likely a long beginning in common. How much of it, only its owner knows: counted is the size that nine in ten reach,
less twice what they differ by. Whoever puts the fixed part first has it read from the cache of the provider, for calls
that follow one another within a few minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b

from advice.findings.found import Case, Found
from advice.models import Confidence, Finding
from advice.what_if.change import TALKING
from core.money import ZERO, to_wire
from metering.models import UsageEvent
from metering.price_book import card_for
from metering.prices import DYNAMIC
from metering.rating import apply_markup

TAGS = ("prompt_id", "feature")
SHORTEST_PREFIX = 1_024  # tokens; providers cache nothing shorter
CACHED_FOR = timedelta(minutes=5)
_FEWEST = 50
_LONGEST_SUBJECT = 340
_SURE = 500
_NEAR = Decimal("0.8")  # the tenth smallest prompt is at least so much of the tenth largest


@dataclass(slots=True)
class Group:
    """Calls of one prompt with one model, in the order of their time: (when, prompt tokens, of them cached)."""

    model: str
    tag: str
    calls: list[tuple[datetime, int, int]] = field(default_factory=list)

    @property
    def prefix(self) -> int:
        """How many tokens they most likely begin with alike; 0 when nothing says that they do."""
        if len(self.calls) < _FEWEST:
            return 0
        sizes = sorted(size for _, size, _ in self.calls)
        small, large = sizes[len(sizes) // 10], sizes[len(sizes) - 1 - len(sizes) // 10]
        if small < large * _NEAR:
            return 0
        prefix = small - 2 * (large - small)
        return prefix if prefix >= SHORTEST_PREFIX else 0


def repeated_prefixes(case: Case, at: datetime) -> list[Found]:
    """What reading the common beginning from the cache would have saved, prompt by prompt."""
    return [found for group in _groups(case) if (found := _found(case, group, at)) is not None]


def _groups(case: Case) -> Sequence[Group]:
    events = UsageEvent.objects.filter(
        organization_id=case.organization_id,
        occurred_at__gte=case.start,
        occurred_at__lt=case.end,
        voided_at__isnull=True,
        kind__in=TALKING,
        is_byok=False,
        charge__gt=0,
        prompt_tokens__gte=SHORTEST_PREFIX,
        tags__has_any_keys=list(TAGS),
    ).order_by("occurred_at", "id")
    columns = ("occurred_at", "model", "tags", "prompt_tokens", "cached_tokens")
    groups: dict[tuple[str, str], Group] = {}
    for moment, model, tags, size, cached in events.values_list(*columns).iterator(chunk_size=5_000):
        name = next(name for name in TAGS if name in tags)
        tag = f"{name}={tags[name]}"
        groups.setdefault((model, tag), Group(model, tag)).calls.append((moment, size, cached))
    return [groups[key] for key in sorted(groups)]


def _found(case: Case, group: Group, at: datetime) -> Found | None:
    prefix, price = group.prefix, card_for(group.model, at)
    if not prefix or price is None:
        return None
    prices = price.card.prices
    plain, read = prices["prompt"], prices.get("input_cache_read")
    if read is None or DYNAMIC in (plain, read) or read >= plain:
        return None
    write = max(prices.get("input_cache_write", plain), plain)
    hits, misses, cost = saved_by(group.calls, prefix, plain, read, write)
    if cost <= 0:
        return None
    saving = apply_markup(cost, 0, 0, case.terms.components, is_free=False, is_byok=False).charge
    cached, tokens = sum(call[2] for call in group.calls), sum(call[1] for call in group.calls)
    evidence = {
        "model": group.model,
        "tag": group.tag,
        "events": len(group.calls),
        "prefix": prefix,
        "hits": hits,
        "misses": misses,
        "prompt_tokens": tokens,
        "cached_tokens": cached,
        "would_save": to_wire(saving),
    }
    sure = Confidence.MEDIUM if len(group.calls) >= _SURE and hits > 4 * misses else Confidence.LOW
    return Found(Finding.CACHING, _subject(group), saving, sure, evidence)


def _subject(group: Group) -> str:
    """The group's name; one too long for its column ends in a mark of the whole, so that no two are equal."""
    name = f"{group.model} {group.tag}"
    if len(name) <= _LONGEST_SUBJECT:
        return name
    mark = blake2b(name.encode(), digest_size=8).hexdigest()
    return f"{name[: _LONGEST_SUBJECT - len(mark) - 1]}#{mark}"


def saved_by(
    calls: Sequence[tuple[datetime, int, int]], prefix: int, plain: Decimal, read: Decimal, write: Decimal
) -> tuple[int, int, Decimal]:
    """Calls that would read the prefix from the cache, calls that would write it, and what that saves, USD.

    A call reads if another came before it within CACHED_FOR. What is read from the cache already saves nothing more;
    writing costs what the provider adds for it, except where something was cached anyway.
    """
    hits = misses = 0
    saving, before = ZERO, None
    for moment, _size, cached in calls:
        if before is not None and moment - before <= CACHED_FOR:
            hits += 1
            saving += max(prefix - cached, 0) * (plain - read)
        else:
            misses += 1
            saving -= prefix * (write - plain) if not cached else ZERO
        before = moment
    return hits, misses, saving

"""Per call: what the provider billed against its price list, and our record against the provider's."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet

from core.money import ZERO, quantize
from metering.errors import InvalidPrice, UnpriceableCall
from metering.models import ModelPrice, UsageEvent
from metering.prices import PriceCard
from metering.rating import TokenUsage, rate
from metering.recorded_usage import usage_of_lines
from openrouter.client import OpenRouterClient, ProviderNotFound
from openrouter.models import Attempt, DifferenceScope
from openrouter.reconciliation.books import OurKeys, day_bounds
from openrouter.reconciliation.findings import GATEWAY, PRICE_BOOK, Finding, Outcome
from openrouter.upstreams import Upstream

_NO_RECORD = "the provider has no record of this generation"

# ---------------------------------------------------------------- against the price list


def compare_formula(upstream: Upstream, client: OpenRouterClient, day: date) -> Outcome:
    """Every call of a day whose bill is not what the price list says, unless that is explained to the last digit.

    The price book holds the price of a model's first host; others may serve at prices of their own. An answer without
    output, or that ended in an error, is not billed by the provider.
    """
    outcome = Outcome()
    hosts = _Hosts(client)
    for event in _priced_otherwise(upstream, day).iterator(chunk_size=500):
        subject = event.generation_id or str(event.id)
        theirs = Decimal(event.derivation["cost"])
        if _is_insured(event) or hosts.price_exactly(event):
            outcome.agreed.add(subject)
            continue
        outcome.findings.append(
            Finding(
                scope=DifferenceScope.FORMULA,
                subject=subject,
                ours=Decimal(event.derivation["computed"]["cost"]),
                theirs=theirs,
                owner=PRICE_BOOK,
                organization_id=event.organization_id,
                evidence=_facts(event),
            )
        )
    return outcome


def _calls(upstream: Upstream, day: date) -> "QuerySet[UsageEvent]":
    """Each has a hold; history brought in from elsewhere has none."""
    start, end = day_bounds(day)
    calls = UsageEvent.objects.filter(source="gateway", hold_id__isnull=False, organization__mode__in=upstream.modes)
    return calls.filter(occurred_at__gte=start, occurred_at__lt=end)


def _priced_otherwise(upstream: Upstream, day: date) -> "QuerySet[UsageEvent]":
    """Both figures are kept at settlement in one notation, so equal amounts are equal texts.

    Calls on a customer's credential cost us a bare fee, which no price list names.
    """
    computed = _calls(upstream, day).filter(derivation__source="provider", derivation__computed__cost__isnull=False)
    return computed.filter(is_byok=False).exclude(derivation__computed__cost=F("derivation__cost"))


def _is_insured(event: UsageEvent) -> bool:
    """Zero-completion insurance: no output, or an error, and no bill."""
    failed = event.completion_tokens == 0 or event.metadata.get("finish_reason") == "error"
    return failed and Decimal(event.derivation["cost"]) == 0


def _facts(event: UsageEvent) -> dict[str, Any]:
    return {
        "event": str(event.id),
        "model": event.model,
        "provider": event.provider,
        "price": str(event.price_id or ""),
        "unpriced": event.derivation["computed"].get("unpriced", []),
    }


class _Hosts:
    """Prices of a model's hosts, asked for once per run."""

    def __init__(self, client: OpenRouterClient) -> None:
        self._client = client
        self._cards: dict[str, dict[str, list[PriceCard]]] = {}  # by model and host
        self._used: dict[UUID | None, dict[str, Any]] = {}  # our own lists

    def price_exactly(self, event: UsageEvent) -> bool:
        """Whether the list of the host that served comes to exactly what was billed.

        Our own list must be that of some host: if it is nobody's, the price book is out of date.
        """
        hosts = self._of(event.model)
        if not self._is_of_some_host(event, hosts):
            return False
        usage, billed = _usage_of(event.derivation), Decimal(event.derivation["cost"])
        return any(_rated(usage, card, event) == billed for card in hosts.get(event.provider, []))

    def _is_of_some_host(self, event: UsageEvent, hosts: dict[str, list[PriceCard]]) -> bool:
        if event.price_id not in self._used:
            row = None if event.price_id is None else ModelPrice.objects.filter(pk=event.price_id).first()
            self._used[event.price_id] = {} if row is None else PriceCard.from_json(row.pricing).to_json()
        ours = self._used[event.price_id]
        return any(card.to_json() == ours for cards in hosts.values() for card in cards)

    def _of(self, model: str) -> dict[str, list[PriceCard]]:
        if model not in self._cards:
            self._cards[model] = self._ask(model)
        return self._cards[model]

    def _ask(self, model: str) -> dict[str, list[PriceCard]]:
        cards: dict[str, list[PriceCard]] = {}
        try:
            rows = self._client.endpoints(model)
        except ProviderNotFound:
            return cards
        for row in rows:
            try:
                card = PriceCard.from_openrouter(row.get("pricing") or {})
            except InvalidPrice:
                continue
            cards.setdefault(str(row.get("provider_name")), []).append(card)
        return cards


def _rated(usage: TokenUsage, card: PriceCard, event: UsageEvent) -> Decimal | None:
    try:
        rated = rate(usage, card, event.occurred_at, event.derivation["computed"].get("service_tier"))
    except UnpriceableCall:
        return None
    return None if rated.unpriced else rated.cost


def _usage_of(derivation: dict[str, Any]) -> TokenUsage:
    lines = derivation.get("computed", {}).get("lines", [])
    return usage_of_lines(lines, requests=int(derivation.get("requests", 1)))


# ---------------------------------------------------------------- against the provider's record


def compare_generations(
    upstream: Upstream, keys: OurKeys, client: OpenRouterClient, day: date, *, most: int | None
) -> Outcome:
    """Our recorded cost of calls against ``GET /generation``: ``most`` of them by chance, None for all.

    Every request whose cost the answer itself did not state is among them, whatever ``most`` says.
    """
    outcome = Outcome()
    for attempt in _chosen(upstream, keys, day, most):
        try:
            theirs = quantize(client.generation(attempt.generation_id).total_cost)
        except ProviderNotFound:
            if attempt.cost:
                outcome.leave(DifferenceScope.CALL, attempt.generation_id, _NO_RECORD)
            continue
        ours = _recorded(attempt)
        if ours == theirs:
            outcome.agreed.add(attempt.generation_id)
        else:
            outcome.findings.append(_finding(attempt, ours, theirs))
    return outcome


def _finding(attempt: Attempt, ours: Decimal, theirs: Decimal) -> Finding:
    return Finding(
        scope=DifferenceScope.CALL,
        subject=attempt.generation_id,
        ours=ours,
        theirs=theirs,
        owner=GATEWAY,
        organization_id=attempt.organization_id,
        evidence={"hold": str(attempt.hold_id), "attempt": attempt.number, "answered": attempt.answered},
    )


def _recorded(attempt: Attempt) -> Decimal:
    """What our books say the request cost: the usage event's cost for the one that answered, else its own."""
    if attempt.answered:
        event = UsageEvent.objects.filter(
            organization_id=attempt.organization_id, generation_id=attempt.generation_id, hold_id=attempt.hold_id
        )
        cost = event.values_list("provider_cost", flat=True).first()
        if cost is not None:
            return cost
    return attempt.cost or ZERO


def _chosen(upstream: Upstream, keys: OurKeys, day: date, most: int | None) -> list[Attempt]:
    start, end = day_bounds(day)
    attempts = Attempt.objects.filter(
        key_hash__in=keys.all, organization__mode__in=upstream.modes, started_at__gte=start, started_at__lt=end
    ).exclude(generation_id="")
    if most is None:
        return list(attempts.order_by("id"))
    uncertain = attempts.filter(Q(answered=False) | Q(cost__isnull=True) | Q(hold_id__in=_not_stated(upstream, day)))
    chosen = {attempt.pk: attempt for attempt in uncertain}
    chosen |= {attempt.pk: attempt for attempt in attempts.order_by("?")[:most]}
    return sorted(chosen.values(), key=lambda attempt: attempt.pk)


def _not_stated(upstream: Upstream, day: date) -> "QuerySet[UsageEvent, Any]":
    """Holds of calls whose cost was computed or estimated by us."""
    return _calls(upstream, day).filter(cost_source__in=["computed", "estimated"]).values("hold_id")

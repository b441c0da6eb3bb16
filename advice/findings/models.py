"""Another model for the same work: each candidate replayed over every call of the window."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Max, Sum

from advice.findings.candidates import Work, cheaper_models, free_variant
from advice.findings.found import WINDOW, Case, Found
from advice.models import Confidence, Finding
from advice.what_if.change import TALKING, Change, terms_of_change
from advice.what_if.prices import Prices
from advice.what_if.reading import Asked, batches
from advice.what_if.replay import KEPT, replayer
from core.money import ZERO, to_wire
from metering.models import LanguageModel, UsageEvent

_SURE = 200  # calls; fewer may not be what the model is used for
_SAME_AUTHOR_SHARE = Decimal("0.5")  # of the best saving: then the author's own model is the safer advice
_FREE_A_DAY, _FREE_AT_MOST = 50, 1_000  # calls a day that the provider's free models stand, without and with credit


def works_of(case: Case) -> list[Work]:
    """What each model was used for; calls with the customer's own key are not ours to route."""
    events = UsageEvent.objects.filter(
        organization_id=case.organization_id,
        occurred_at__gte=case.start,
        occurred_at__lt=case.end,
        voided_at__isnull=True,
        kind__in=TALKING,
        is_byok=False,
        charge__gt=0,
    )
    rows = events.values("model").annotate(
        calls=Count("id"),
        tokens_in=Sum("prompt_tokens"),
        tokens_out=Sum("completion_tokens"),
        longest=Max(F("prompt_tokens") + F("completion_tokens")),
        longest_answer=Max("completion_tokens"),
    )
    return [
        Work(row["model"], row["calls"], row["tokens_in"], row["tokens_out"], row["longest"], row["longest_answer"])
        for row in rows.order_by("model")
        if row["model"]
    ]


def other_models(case: Case, works: Iterable[Work], prices: Prices, at: datetime) -> list[Found]:
    """The best model for the work of each, and the free variant where there is one."""
    catalogue = {row.id: row for row in LanguageModel.objects.filter(vanished_at__isnull=True).defer("details")}
    found = []
    for work in works:
        candidates = [each.model.id for each in cheaper_models(work, catalogue, case.terms, at)]
        free = free_variant(work, case.terms, at)
        names = candidates if free is None else [*candidates, free]
        if not names:
            continue
        spent, savings = _replayed(case, work.model, names, prices, at)
        if free is not None and free in savings:
            found.append(_free(case, work, free, spent, savings[free]))
        paid = {name: savings[name] for name in candidates if name in savings}
        if paid:
            found.append(_cheaper(case, work, spent, paid))
    return found


def _replayed(
    case: Case, model: str, names: list[str], prices: Prices, at: datetime
) -> tuple[Decimal, dict[str, Decimal]]:
    """What the calls of ``model`` cost, and what each candidate would have saved, exactly; without those that could not
    price every call."""
    asked = Asked(case.start, case.end, {"model": model, "is_byok": False, "kind__in": list(TALKING)})
    replays = {}
    for name in names:
        replays[name] = replayer(terms_of_change(Change(model=name, prices_at=at), at), prices)
    spent, costs = ZERO, dict.fromkeys(names, ZERO)
    for events in batches(case.organization_id, asked):
        for event in events:
            spent += event.charge
            for name in list(costs):
                replayed = replays[name](event)
                if replayed.fate != KEPT:
                    del costs[name]
                else:
                    costs[name] += replayed.charge
    return spent, {name: spent - cost for name, cost in costs.items()}


def _cheaper(case: Case, work: Work, spent: Decimal, savings: dict[str, Decimal]) -> Found:
    best = max(savings, key=lambda name: (savings[name], name))
    own = next((name for name in savings if _author(name) == _author(work.model)), None)
    if own is not None and savings[own] >= savings[best] * _SAME_AUTHOR_SHARE:
        best = own
    is_sure = work.events >= _SURE and _author(best) == _author(work.model)
    others = sorted((name for name in savings if name != best), key=lambda name: (-savings[name], name))
    return Found(
        Finding.CHEAPER_MODEL,
        work.model,
        savings[best],
        Confidence.MEDIUM if is_sure else Confidence.LOW,
        {
            **_evidence(case, work, best, spent, savings[best]),
            "alternatives": [{"model": name, "saving": to_wire(savings[name])} for name in others],
        },
    )


def _free(case: Case, work: Work, free: str, spent: Decimal, saving: Decimal) -> Found:
    a_day = Decimal(work.events) / WINDOW.days
    sure = Confidence.HIGH if a_day <= _FREE_A_DAY else Confidence.MEDIUM if a_day <= _FREE_AT_MOST else Confidence.LOW
    evidence = {**_evidence(case, work, free, spent, saving), "calls_a_day": int(a_day.to_integral_value())}
    return Found(Finding.FREE_MODEL, work.model, saving, sure, evidence)


def _evidence(case: Case, work: Work, to_model: str, spent: Decimal, saving: Decimal) -> dict[str, Any]:
    return {
        "model": work.model,
        "to_model": to_model,
        "events": work.events,
        "prompt_tokens": work.prompt_tokens,
        "completion_tokens": work.completion_tokens,
        "longest_call": work.longest,
        "spent": to_wire(spent),
        "would_cost": to_wire(spent - saving),
    }


def _author(name: str) -> str:
    return name.partition("/")[0]

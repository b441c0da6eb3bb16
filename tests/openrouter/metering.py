"""Calls that are really made at the provider and recorded as the gateway records them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from core.ids import uuid7
from core.money import quantize
from credits.services import HoldRequest, place_hold
from metering.derivation import derive
from metering.price_book import card_for
from metering.rating import TokenUsage, apply_markup, rate
from metering.records import UsageRecord
from metering.services import record_usage
from openrouter.models import Attempt, ProviderAccount
from tests.openrouter.building import CHAT, now

TEN_PERCENT = ({"type": "percentage", "percent": "10", "applies_to": "paid"},)
_numbers = count(1)


@dataclass
class MadeCall:
    """A call that the provider has billed and we have not recorded yet."""

    account: ProviderAccount
    hold_id: UUID
    answer: dict[str, Any]
    model: str
    began: datetime

    @property
    def cost(self) -> Decimal:
        return Decimal(self.answer["usage"]["cost"])


def begin(account: ProviderAccount, at: datetime | None = None) -> UUID:
    """The hold that the gateway places before it sends anything."""
    at = at or now()
    request = HoldRequest(
        organization_id=account.organization_id,
        amount=Decimal(0),
        key=f"call {next(_numbers)}",
        expires_at=at + timedelta(minutes=15),
        purpose="gateway",
        context={"key_hash": account.hash},
    )
    return place_hold(request, at=at).hold_id


def make_call(
    provider, account: ProviderAccount, *, model: str = "openai/gpt-4o-mini", wishes: str = "tokens=20", at=None
) -> MadeCall:
    hold_id = begin(account, at)
    body = {"model": model, "messages": [{"role": "user", "content": f"hello [[{wishes}]]"}]}
    status, answer, _ = provider.call("POST", CHAT, body, key=account.secret)
    assert status == 200, answer
    return MadeCall(account, hold_id, answer, model, at or now())


def record(call: MadeCall, *, cost: Decimal | None = None, milliseconds: int = 100, **fields: Any) -> UUID:
    """Settle a call to what the provider billed, or to a wrong ``cost``; the id of its usage event."""
    cost = call.cost if cost is None else cost
    counts = call.answer["usage"]
    usage = TokenUsage(
        prompt_tokens=counts["prompt_tokens"],
        completion_tokens=counts["completion_tokens"],
        cached_tokens=counts["prompt_tokens_details"]["cached_tokens"],
        reasoning_tokens=counts["completion_tokens_details"]["reasoning_tokens"],
    )
    price = card_for(call.model, call.began)
    rated = rate(usage, price.card, call.began) if price else None
    charge = apply_markup(cost, usage.tokens, 1, TEN_PERCENT, is_free=False, is_byok=False)
    event_id = uuid7()
    values = {
        "cost_source": "provider",
        "model": price.model.id if price else call.model,
        "provider": call.answer.get("provider", ""),
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "generation_id": call.answer["id"],
        "metadata": {"key": "sub-key", "served": call.answer["model"]},
        "derivation": derive(charge, source="provider", rated=rated, price_id=price.id if price else None),
        "price_id": price.id if price else None,
        "latency_ms": milliseconds,
        **fields,
    }
    event = UsageRecord(
        id=event_id,
        organization_id=call.account.organization_id,
        occurred_at=call.began,
        kind="chat",
        source="gateway",
        provider_cost=charge.cost,
        markup=charge.markup,
        charge=charge.charge,
        hold_id=call.hold_id,
        **values,
    )
    [outcome] = record_usage([event], at=now())
    assert outcome.status == "recorded", outcome
    note_attempt(call, cost=cost, answered=True, milliseconds=milliseconds)
    return event_id


def note_attempt(call: MadeCall, *, cost: Decimal | None, answered: bool, milliseconds: int = 100, number: int = 1):
    return Attempt.objects.create(
        organization_id=call.account.organization_id,
        hold_id=call.hold_id,
        number=number,
        model=call.model,
        key_hash=call.account.hash,
        generation_id=call.answer["id"],
        status_code=200,
        cost=None if cost is None else quantize(cost),
        answered=answered,
        started_at=call.began,
        duration_ms=milliseconds,
    )


def metered(provider, account: ProviderAccount, **options: Any) -> MadeCall:
    """A call, made and recorded as it should be."""
    recording = {name: options.pop(name) for name in ("milliseconds",) if name in options}
    call = make_call(provider, account, **options)
    record(call, **recording)
    return call

"""An estimate of one call, from the very request that would be sent to the gateway.

The worst case is not estimated: it is what the gateway would set aside (:mod:`metering.sizing`), for the same request,
the same candidates and the same terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.conf import settings

from accounts.entitlements import TOKEN_PREVIEW, require
from accounts.principal import Principal
from core.errors import DomainError, InvalidRequest
from core.money import ZERO
from credits.balances import Balance, current_balance
from credits.upkeep import bring_up_to_date
from metering.bounds import Bound, CallFacts
from metering.budgets.rooms import BudgetRoom, rooms_after
from metering.call_request import asked_output, candidates_of, require_input
from metering.errors import ModelNotIncluded, NoSuchModel, UnpriceableCall
from metering.estimates.alternatives import Alternative, Wanted, cheaper_models
from metering.estimates.answers import AnswerLength, answer_length
from metering.estimates.calibration import TokenCount
from metering.estimates.learning import calibration_of
from metering.estimates.makeup import Prompt
from metering.estimates.pricing import Cost, cost_of, expected_usage
from metering.estimates.routes import CallPlan, plan_of
from metering.metered.calls import CallEvent, CallMeters, meters_of_call
from metering.price_book import card_for
from metering.sizing import CHAT, EMBEDDING, SPEECH, CallShape, Priced, Sized, affordable_answer, size_call
from tiers.permits import included
from tiers.querysets import terms_for
from tiers.terms import TierTerms

BASIC, FULL = "basic", "full"
_OUTPUT = {"completion", "internal_reasoning", "audio_output"}  # classes of prices that answers are billed by
_KINDS = {CHAT: ("chat", "completion"), EMBEDDING: ("embedding",), SPEECH: ("tts",)}
_INPUTS = {CHAT: ("messages", "prompt"), EMBEDDING: ("input",), SPEECH: ("input",)}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one call would cost. Amounts in USD; ``p95`` is exceeded once in twenty times, ``worst`` never.

    ``worst`` is what would be set aside while the call runs; with the customer's own key what meters take alone.
    ``affordable_tokens`` is the longest answer that the wallet can pay, at most the cap; None when it is no answer at
    all.
    """

    model: Priced
    prompt: TokenCount
    prompt_worst: int
    answer: AnswerLength
    answer_worst: int
    likely: Cost
    p95: Cost
    worst: Decimal
    uses_own_key: bool
    tier: str
    balance: Balance
    spendable: Decimal
    affordable_tokens: int | None
    alternatives: list[Alternative]
    budgets: list[BudgetRoom]
    detail: str = FULL

    @property
    def is_full(self) -> bool:
        """Whether it says what each part costs, and which models are cheaper."""
        return self.detail == FULL

    @property
    def input_cost(self) -> Decimal:
        """What the provider likely bills for what is sent, and for the call itself."""
        return self.likely.provider_cost - self.output_cost

    @property
    def output_cost(self) -> Decimal:
        """What the provider likely bills for the answer."""
        return sum((line.amount for line in self.likely.lines if line.price_class in _OUTPUT), ZERO)

    @property
    def is_covered(self) -> bool:
        """Whether the wallet can pay the worst case."""
        return self.worst <= self.spendable


def estimate_call(
    *,
    principal: Principal,
    data: Mapping[str, Any],
    raw: bytes,
    at: datetime,
    kind: str = CHAT,
    expected_tokens: int | None = None,
    detail: str | None = None,
) -> Estimate:
    """What the request ``data``, decoded from ``raw``, would cost the caller's organization if it were sent now.

    ``detail`` is ``basic`` or ``full``; without it, as much as the tier includes. Raises NotInTier, and what the
    gateway would refuse such a call with: InvalidRequest, NoSuchModel, ModelNotIncluded, UnpriceableCall, NoTier.
    """
    detail = _detail(principal, detail)
    require_input(data, *_INPUTS[kind])
    bring_up_to_date([principal.organization_id], at)
    terms = terms_for(principal.organization_id)
    models = [_priced(name, principal, terms, at) for name in candidates_of(data)]
    plan = plan_of(principal, terms, models, data, at) if kind == CHAT else CallPlan()
    event = CallEvent(
        kinds=_KINDS[kind],
        models=tuple(name for each in (*models, *plan.fallbacks) for name in each.names),
        tier=terms.slug,
        member_id=principal.member_id,
        api_key_id=principal.api_key_id,
        uses_own_key=plan.uses_own_key,
    )
    meters = meters_of_call(principal.organization_id, terms.metered_prices, event)
    return _Estimating(principal, terms, plan, kind, data, raw, models, at, meters, detail).run(expected_tokens)


def _detail(principal: Principal, wanted: str | None) -> str:
    """What is asked for, or the most that the tier includes. Raises NotInTier."""
    if wanted is not None:
        require(principal.organization_id, TOKEN_PREVIEW, wanted)
        return wanted
    return FULL if included(principal.organization_id, TOKEN_PREVIEW, [FULL]) else BASIC


def _priced(name: str, principal: Principal, terms: TierTerms, at: datetime) -> Priced:
    price = card_for(name, at)
    if price is None:
        raise NoSuchModel(f"There is no model {name}, or no price is known for it.", param="model")
    names = {name, price.model.id}
    if not any(principal.may_use_model(each) for each in names):
        raise ModelNotIncluded(f"This API key may not use the model {name}.", param="model")
    if not any(terms.may_use_model(each, is_free=price.is_free) for each in names):
        raise ModelNotIncluded(f"The {terms.name} tier does not include the model {name}.", param="model")
    return Priced(name, price)


@dataclass(frozen=True, slots=True)
class _Estimating:
    principal: Principal
    terms: TierTerms
    plan: CallPlan
    kind: str
    data: Mapping[str, Any]
    raw: bytes
    models: list[Priced]
    at: datetime
    meters: CallMeters | None
    detail: str

    def run(self, expected: int | None) -> Estimate:
        sized, candidates = self._size()
        first, price = self.models[0], self.models[0].price
        if price is None:
            raise NoSuchModel(param="model")
        prompt = Prompt(self.data)
        count = self._count(prompt, price.model.id, sized.facts.prompt_tokens)
        answer = answer_length(self.principal.organization_id, price.model.id, cap=sized.output_cap, expected=expected)
        likely = self._cost(first, sized.facts, count.likely, answer.likely)
        balance = current_balance(self.principal.organization_id, self.at)
        spendable = balance.available + balance.overage_limit
        worst = sized.bound.metered if self.plan.uses_own_key else sized.bound.amount
        return Estimate(
            model=first,
            prompt=count,
            prompt_worst=sized.facts.prompt_tokens,
            answer=answer,
            answer_worst=sized.facts.completion_tokens * sized.facts.answers,
            likely=likely,
            p95=self._cost(first, sized.facts, max(count.p95, count.likely), answer.p95),
            worst=worst,
            uses_own_key=self.plan.uses_own_key,
            tier=self.terms.slug,
            balance=balance,
            spendable=spendable,
            affordable_tokens=self._affordable(sized, candidates, worst, spendable),
            alternatives=self._alternatives(prompt, sized.facts, likely, answer),
            budgets=self._budgets(candidates, likely, sized),
            detail=self.detail,
        )

    def _budgets(self, candidates: list[Priced], likely: Cost, sized: Sized) -> list[BudgetRoom]:
        """Charges count for budgets, and with the customer's own key the provider's bill and what meters take."""
        names = frozenset(
            name for each in candidates for name in (each.name, each.price.model.id if each.price else each.name)
        )
        own = self.plan.uses_own_key
        return rooms_after(
            self.principal,
            self.data,
            names,
            likely=likely.provider_cost + likely.metered if own else likely.charge,
            worst=sized.bound.cost + sized.bound.metered if own else sized.bound.amount,
            at=self.at,
        )

    def _count(self, prompt: Prompt, model_id: str, most: int) -> TokenCount:
        """What the texts will be billed as, never more than they are held for."""
        calibration = calibration_of(model_id)
        count = calibration.count(prompt.makeup(calibration.family.vocabulary))
        return replace(count, low=min(count.low, most), likely=min(count.likely, most), p95=min(count.p95, most))

    def _size(self) -> tuple[Sized, list[Priced]]:
        """As the gateway does: with the rule's fallbacks, and without them when the call then has no bound."""
        candidates = [*self.models, *self.plan.fallbacks]
        try:
            return size_call(self._shape(candidates), self.terms.components, self.at), candidates
        except DomainError:
            if not self.plan.fallbacks:
                raise
            return size_call(self._shape(self.models), self.terms.components, self.at), self.models

    def _shape(self, candidates: list[Priced]) -> CallShape:
        return CallShape(
            kind=self.kind,
            data=self.data,
            raw=self.raw,
            models=candidates,
            asked_output=asked_output(self.data) if self.kind == CHAT else None,
            default_output=self.plan.output_limit or settings.GATEWAY_DEFAULT_OUTPUT_TOKENS,
            meters=self.meters,
        )

    def _cost(self, model: Priced, facts: CallFacts, prompt: int, answer: int) -> Cost:
        if model.price is None:
            raise UnpriceableCall(model=model.name)
        usage = expected_usage(facts, prompt, answer)
        cost = cost_of(
            usage,
            model.price,
            self.terms.components,
            self.at,
            service_tier=facts.service_tier,
            is_byok=self.plan.uses_own_key,
        )
        if self.meters is None:
            return cost
        expected = msgspec.structs.replace(facts, prompt_tokens=usage.prompt_tokens, completion_tokens=answer)
        metered = self.meters.most(expected, Bound(cost.charge, cost.provider_cost, cost.lines, {}))
        return replace(cost, charge=cost.charge + metered, metered=metered)

    def _affordable(self, sized: Sized, candidates: list[Priced], worst: Decimal, spendable: Decimal) -> int | None:
        """The gateway shortens an answer of no stated length to what the wallet can pay."""
        if worst <= spendable:
            return sized.output_cap
        return affordable_answer(sized, candidates, self.terms.components, self.at, spendable, self.meters)

    def _alternatives(self, prompt: Prompt, facts: CallFacts, likely: Cost, answer: AnswerLength) -> list[Alternative]:
        price = self.models[0].price
        if self.detail != FULL:
            return []
        if price is None or self.kind != CHAT or self.plan.uses_own_key or price.card.is_dynamic():
            return []
        wanted = Wanted(self.data, prompt, facts, price, likely.charge, answer.likely, likely.metered)
        return cheaper_models(wanted, self.principal, self.terms, self.at)


def read_request(raw: bytes) -> dict[str, Any]:
    """The request as the gateway decodes it. Raises InvalidRequest."""
    try:
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"The request body is not a JSON object: {error}") from None
    if not isinstance(data, dict):
        raise InvalidRequest("The request body is not a JSON object.")
    return data

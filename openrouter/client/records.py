"""The provider's answers as typed records: exact Decimals in USD, unknown fields ignored, missing ones None."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from core.money import USD_LIMIT, ZERO
from openrouter.client.errors import ProviderAnswerInvalid
from openrouter.figures import count_of, is_amount, text_of


@dataclass(frozen=True, slots=True)
class Key:
    """A sub-key, without its secret. ``usage`` is all-time credit spend; limits are over the key's life."""

    hash: str
    name: str
    label: str
    disabled: bool
    limit: Decimal | None
    limit_remaining: Decimal | None
    usage: Decimal
    usage_daily: Decimal
    usage_monthly: Decimal
    byok_usage: Decimal
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; its secret exists nowhere else."""

    key: Key
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FreeQuota:
    """Calls of free models today, by the whole account."""

    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class OwnKey:
    """What a key says about itself."""

    label: str
    is_management_key: bool
    limit_remaining: Decimal | None
    usage: Decimal
    free_quota: FreeQuota | None


@dataclass(frozen=True, slots=True)
class Credits:
    """The whole account's money: bought and used, ever."""

    total_credits: Decimal
    total_usage: Decimal


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """One finished UTC day, model and endpoint."""

    day: date
    model: str
    permaslug: str
    provider: str
    usage: Decimal
    requests: int


@dataclass(frozen=True, slots=True)
class Generation:
    """One call as the provider billed it. ``total_cost`` is what the account was charged."""

    id: str
    model: str
    provider: str
    total_cost: Decimal
    upstream_inference_cost: Decimal
    is_byok: bool
    created_at: datetime | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    finish_reason: str
    cancelled: bool


def read_key(data: Any) -> Key:
    """A ``Key`` object. Raises ProviderAnswerInvalid."""
    data = _object(data)
    return Key(
        hash=_text(data, "hash"),
        name=str(data.get("name") or ""),
        label=str(data.get("label") or "")[:40],
        disabled=bool(data.get("disabled")),
        limit=_amount_or_none(data, "limit"),
        limit_remaining=_amount_or_none(data, "limit_remaining"),
        usage=_amount(data, "usage"),
        usage_daily=_amount(data, "usage_daily"),
        usage_monthly=_amount(data, "usage_monthly"),
        byok_usage=_amount(data, "byok_usage"),
        created_at=_time(data.get("created_at")),
    )


def read_new_key(document: Any) -> NewKey:
    """The answer of ``POST /keys``. Raises ProviderAnswerInvalid."""
    document = _object(document)
    return NewKey(key=read_key(document.get("data")), secret=_text(document, "key"))


def read_own_key(data: Any) -> OwnKey:
    """The answer of ``GET /key``. Raises ProviderAnswerInvalid."""
    data = _object(data)
    quota = data.get("free_model_daily_requests")
    return OwnKey(
        label=str(data.get("label") or "")[:40],
        is_management_key=bool(data.get("is_management_key") or data.get("is_provisioning_key")),
        limit_remaining=_amount_or_none(data, "limit_remaining"),
        usage=_amount(data, "usage"),
        free_quota=_quota(quota) if isinstance(quota, Mapping) else None,
    )


def read_credits(data: Any) -> Credits:
    """The answer of ``GET /credits``. Raises ProviderAnswerInvalid."""
    data = _object(data)
    if "total_usage" not in data:
        raise ProviderAnswerInvalid("The credits lack total_usage.")
    return Credits(total_credits=_amount(data, "total_credits"), total_usage=_amount(data, "total_usage"))


def read_activity_row(data: Any) -> ActivityRow:
    """One row of ``GET /activity``. Raises ProviderAnswerInvalid."""
    data = _object(data)
    try:
        day = date.fromisoformat(str(data.get("date"))[:10])
    except ValueError:
        raise ProviderAnswerInvalid("A row of activity lacks its date.") from None
    model = _text(data, "model")
    return ActivityRow(
        day=day,
        model=model,
        permaslug=str(data.get("model_permaslug") or model),
        provider=str(data.get("provider_name") or ""),
        usage=_amount(data, "usage"),
        requests=_count(data, "requests"),
    )


def read_generation(data: Any) -> Generation:
    """The answer of ``GET /generation``. Raises ProviderAnswerInvalid, also without a cost that a call can have."""
    data = _object(data)
    cost = _amount_or_none(data, "total_cost")
    if cost is None:
        cost = _amount_or_none(data, "usage")
    if cost is None:
        raise ProviderAnswerInvalid("The generation lacks total_cost.")
    upstream_cost = _amount(data, "upstream_inference_cost")
    if not is_amount(cost) or not is_amount(upstream_cost):
        raise ProviderAnswerInvalid("The generation names a cost that no call has.")
    return Generation(
        id=_text(data, "id"),
        model=text_of(data.get("model")),
        provider=text_of(data.get("provider_name")),
        total_cost=cost,
        upstream_inference_cost=upstream_cost,
        is_byok=bool(data.get("is_byok")),
        created_at=_time(data.get("created_at")),
        prompt_tokens=_tokens(data, "prompt"),
        completion_tokens=_tokens(data, "completion"),
        cached_tokens=_count(data, "native_tokens_cached"),
        reasoning_tokens=_count(data, "native_tokens_reasoning"),
        finish_reason=text_of(data.get("finish_reason")),
        cancelled=bool(data.get("cancelled")),
    )


def _object(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise ProviderAnswerInvalid("The answer holds no object where one was promised.")
    return data


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise ProviderAnswerInvalid(f"The answer lacks {name}.")
    return value


def _amount_or_none(data: Mapping[str, Any], name: str) -> Decimal | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ProviderAnswerInvalid(f"{name} is not a number.")
    amount = Decimal(value)
    if abs(amount) >= USD_LIMIT:
        raise ProviderAnswerInvalid(f"{name} is beyond all money.")
    return amount


def _amount(data: Mapping[str, Any], name: str) -> Decimal:
    value = _amount_or_none(data, name)
    return ZERO if value is None else value


def _count(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name)
    return count_of(value) if isinstance(value, int | Decimal) else 0


def _tokens(data: Mapping[str, Any], name: str) -> int:
    """Native counts are what was billed; the others are normalized across models."""
    native = f"native_tokens_{name}"
    return _count(data, native if data.get(native) is not None else f"tokens_{name}")


def _quota(data: Mapping[str, Any]) -> FreeQuota:
    return FreeQuota(used=_count(data, "used"), limit=_count(data, "limit"))


def _time(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None

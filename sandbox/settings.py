"""What a sandbox is started with: from the environment (``SANDBOX_…``) or from the caller."""

import os
from decimal import Decimal
from typing import Any

import msgspec

PREFIX = "SANDBOX_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One sandbox. Amounts are USD, times are seconds."""

    data_dir: str | None = None  # None keeps the books in memory only
    management_key: str = "sk-or-v1-sandbox-management"
    api_key: str = "sk-or-v1-sandbox-inference"
    byok_key: str = "sk-or-v1-byok-sandbox"  # its calls run on provider credentials of its own
    customer_key: str = "sk-or-v1-customer-sandbox"  # belongs to another OpenRouter account
    credits: Decimal = Decimal(1_000_000)  # bought before the first start
    in_flight_budget: Decimal | None = None  # None: the account is old and large enough not to have one
    key_limit_status: int = 403  # older OpenRouter answered 402
    generation_delay: float = 0.0  # how long GET /generation answers 404 after a call
    interrupted_delay: float = 0.0  # the same after a stream that was cut or left
    byok_fee_percent: Decimal = Decimal(5)
    byok_allowance: Decimal = Decimal(25_000)  # list price per month without a fee
    free_per_minute: int = 0  # calls of :free models for the whole account; 0 is no limit
    free_per_day: int = 0
    keep_generations: int = 200_000  # older ones leave memory; the totals and the journal keep them
    fast: bool = False  # gather journal lines for some milliseconds before they are written


def from_environment(environment: dict[str, str] | None = None, **given: Any) -> Settings:
    """Settings from ``SANDBOX_<FIELD>`` variables that are not empty; ``given`` wins over them.

    Raises msgspec.ValidationError for a value that does not fit its field.
    """
    source = os.environ if environment is None else environment
    values: dict[str, Any] = {
        name.removeprefix(PREFIX).lower(): value for name, value in source.items() if name.startswith(PREFIX) and value
    }
    values.update({name: value for name, value in given.items() if value is not None})
    return msgspec.convert(values, Settings, strict=False)

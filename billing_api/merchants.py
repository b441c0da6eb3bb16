"""What a merchant sets for himself. Not a route of the clients: send it with any HTTP client."""

from typing import Literal

import msgspec

from billing.services import set_balance_convention
from billing.state import convention_of
from billing_api.calls import Call
from billing_api.endpoints import endpoint

PATH = "merchant-settings"


class MerchantSettings(msgspec.Struct, kw_only=True):
    """The sign of ``balance`` wherever it is sent; our own books have one sign."""

    balance_convention: Literal["credited_minus_consumed", "consumed_minus_credited"]


@endpoint("GET", PATH, scope="organizations:read", answer=MerchantSettings)
def get_merchant_settings(call: Call) -> MerchantSettings:
    """Get the merchant's settings."""
    return MerchantSettings(balance_convention=convention_of(call.organization_id))  # type: ignore[arg-type]


@endpoint(
    "PATCH",
    PATH,
    scope="organizations:write",
    body=MerchantSettings,
    answer=MerchantSettings,
    example={"balance_convention": "consumed_minus_credited"},
)
def update_merchant_settings(call: Call, body: MerchantSettings) -> MerchantSettings:
    """Choose the sign of balances: below zero is overage (the default), or credit that is left."""
    set_balance_convention(organization_id=call.organization_id, convention=body.balance_convention)
    return body

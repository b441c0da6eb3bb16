"""Names of the sets of choices in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

# Where one field name has several sets of choices, each set has a name of its own in the document.
NAMES: Mapping[str, Any] = {
    "EntryKind": "credits.models.EntryKind.choices",
    "LotKind": "credits.models.LotKind.choices",
    "UsageKind": "metering.models.Kind.choices",
    "StatementStatus": ["open", "final"],
    "CouponKind": "coupons.models.Kind.choices",
    "SubscriptionStatus": "tiers.models.SubscriptionStatus.choices",
    "TierChangeKind": "tiers.models.ChangeKind.choices",
    "TierChangeStatus": "tiers.models.ChangeStatus.choices",
    "TierSwitchStatus": "tiers.serializers.SWITCH_STATUSES",
    "DiscountTarget": "coupons.models.AppliesTo.choices",
    "WebhookMessageState": "outbox.webhooks.models.State.choices",
    "WhatIfStatus": "advice.models.RunStatus.choices",
    "TokenBasis": ["vocabulary", "learned", "ratio"],
}

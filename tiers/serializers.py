"""JSON shapes of the tiers API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.serializers import AmountField, StrictSerializer
from tiers.entitlements import features_of
from tiers.models import (
    ChangeKind,
    ChangeStatus,
    Collection,
    ModelAccess,
    Subscription,
    SubscriptionStatus,
    Tier,
    TierChange,
)
from tiers.options import options_of
from tiers.planning import AT_PERIOD_END, NOW, WHEN_PAID

SWITCH_STATUSES = [("preview", "Preview"), *ChangeStatus.choices]


class ComponentSerializer(serializers.Serializer):
    """One part of the price of a call."""

    type = serializers.ChoiceField(choices=["percentage", "per_1k_tokens", "per_request"])
    percent = serializers.CharField(required=False, help_text="Of the provider's cost.")
    amount = serializers.CharField(required=False, help_text="USD.")
    applies_to = serializers.ChoiceField(choices=["free", "paid", "all"], help_text="Which models.")


class OptionSerializer(serializers.Serializer):
    """One way to be on a tier: credit with a markup, or one's own OpenRouter key."""

    slug = serializers.CharField()
    monthly_credit = AmountField(help_text="USD of credit allocated each month.")
    components = ComponentSerializer(many=True)
    byok_allowed = serializers.BooleanField()


class FeatureSerializer(serializers.Serializer):
    """An entitlement in words."""

    key = serializers.CharField()
    name = serializers.CharField()
    value = serializers.JSONField(allow_null=True, help_text="As programs read it.")
    text = serializers.CharField(help_text="As people read it.")
    included = serializers.BooleanField()


class TierSerializer(serializers.Serializer):
    """A tier on offer."""

    slug = serializers.CharField()
    version = serializers.IntegerField()
    catalogue = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    monthly_price = AmountField(help_text="USD.")
    monthly_credit = AmountField(help_text="USD of credit allocated each month.")
    welcome_credit = AmountField(help_text="USD given once on sign-up.")
    components = ComponentSerializer(many=True, help_text="What a call costs beyond the provider's price.")
    options = serializers.SerializerMethodField(help_text="In which ways it can be taken, the usual one first.")
    model_access = serializers.ChoiceField(choices=ModelAccess.choices)
    model_ids = serializers.ListField(child=serializers.CharField(), help_text='When access is "list".')
    byok_allowed = serializers.BooleanField(help_text="Whether calls may use the customer's own OpenRouter key.")
    overage_limit = AmountField(help_text="How far below zero the wallet may go, USD.")
    rollover_percent = serializers.CharField(help_text="Of what is left of a month's credit, kept for the next.")
    rollover_cap = AmountField(allow_null=True, help_text="USD kept at most; null: no cap.")
    rollover_periods = serializers.IntegerField(help_text="For how many months it is kept.")
    credit_expires = serializers.BooleanField(help_text="Whether the rest expires at the end of the month.")
    trial_days = serializers.IntegerField(help_text="Days that cost nothing; 0: no trial.")
    requests_per_minute = serializers.IntegerField()
    tokens_per_minute = serializers.IntegerField()
    entitlements = serializers.SerializerMethodField()
    features = serializers.SerializerMethodField(help_text="The same in order and in words.")
    is_default = serializers.BooleanField(help_text="The tier of new customers.")

    @extend_schema_field(OptionSerializer(many=True))
    def get_options(self, tier: Tier) -> Any:
        """Every option, also when the tier has but one."""
        return OptionSerializer(options_of(tier), many=True).data

    @extend_schema_field({"type": "object", "additionalProperties": True, "examples": [{"analytics_days": 90}]})
    def get_entitlements(self, tier: Tier) -> dict[str, Any]:
        """Further features by name."""
        return tier.entitlements

    @extend_schema_field(FeatureSerializer(many=True))
    def get_features(self, tier: Tier) -> Any:
        """The entitlements as a page prints them."""
        return FeatureSerializer(features_of(tier.entitlements), many=True).data


class RowSerializer(serializers.Serializer):
    """A line of the comparison, with a cell for each tier in their order."""

    key = serializers.CharField()
    name = serializers.CharField()
    cells = FeatureSerializer(many=True)


class ComparisonSerializer(serializers.Serializer):
    """All tiers on offer, in order."""

    data = TierSerializer(many=True)  # type: ignore[assignment]
    matrix = RowSerializer(many=True, help_text="What each tier includes, line by line.")


class SwitchRequestSerializer(StrictSerializer):
    """Where to."""

    tier = serializers.CharField(max_length=40)
    option = serializers.CharField(max_length=20, required=False, help_text="managed or byok; default: the usual one.")
    dry_run = serializers.BooleanField(default=False, help_text="Only compute what it would cost and when.")


class TrialRequestSerializer(StrictSerializer):
    """What to try."""

    tier = serializers.CharField(max_length=40)
    option = serializers.CharField(max_length=20, required=False)


class CancelRequestSerializer(StrictSerializer):
    """A cancellation holds from the end of the period on; there is nothing to say."""


class SideSerializer(serializers.Serializer):
    """One side of a switch."""

    tier = serializers.CharField()
    version = serializers.IntegerField()
    option = serializers.CharField()


class LineSerializer(serializers.Serializer):
    """A part of what is paid now."""

    description = serializers.CharField()
    amount = AmountField(help_text="USD; negative: given back.")


class PaymentNoteSerializer(serializers.Serializer):
    """The payment that a switch waits for or was paid with."""

    id = serializers.UUIDField()
    status = serializers.CharField()
    amount = AmountField(help_text="USD, after discounts.")
    checkout_url = serializers.CharField(help_text="Where to pay; empty until it is made, or when nothing is open.")


class SwitchSerializer(serializers.Serializer):
    """A switch, computed or done. Amounts are USD before discounts."""

    id = serializers.UUIDField(allow_null=True, help_text="Null for a dry run.")
    status = serializers.ChoiceField(choices=SWITCH_STATUSES)
    kind = serializers.ChoiceField(choices=ChangeKind.choices)
    takes_effect = serializers.ChoiceField(choices=[NOW, WHEN_PAID, AT_PERIOD_END])
    effective_at = serializers.DateTimeField()
    to = SideSerializer()
    amount = AmountField(help_text="To pay now.")
    credit = AmountField(help_text="Credit that comes with it now.")
    lines = LineSerializer(many=True)
    unused_share = serializers.CharField(help_text="Of the present period, to six places.")
    starts_new_period = serializers.BooleanField(help_text="Months are counted from the switch on.")
    period_starts_at = serializers.DateTimeField(allow_null=True, help_text="Of the month that the switch falls into.")
    period_ends_at = serializers.DateTimeField(allow_null=True)
    next_charge_at = serializers.DateTimeField(allow_null=True)
    next_amount = AmountField(help_text="From the next month on.")
    next_credit = AmountField(help_text="From the next month on.")
    payment = PaymentNoteSerializer(allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        """With the side that Python has no name for."""
        return {**super().get_fields(), "from": SideSerializer(allow_null=True)}


class PeriodSerializer(serializers.Serializer):
    """The present month."""

    index = serializers.IntegerField(help_text="Counted from 0; −1 is a trial.")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class PendingSerializer(serializers.Serializer):
    """A switch that waits."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=ChangeKind.choices)
    status = serializers.ChoiceField(choices=ChangeStatus.choices)
    tier = serializers.CharField(source="to_tier.slug")
    option = serializers.CharField(source="to_option")
    effective_at = serializers.DateTimeField()
    amount = AmountField()
    payment_id = serializers.UUIDField(allow_null=True)


class LentSerializer(serializers.Serializer):
    """While a coupon lends a better tier."""

    paid_tier = serializers.CharField(source="paid_tier.slug", help_text="What is paid for, and comes back.")
    until_period = serializers.IntegerField(source="lent_until", help_text="The period in which it comes back.")


class SaleSerializer(serializers.Serializer):
    """Where a subscription was bought that is not collected here."""

    source = serializers.CharField(  # type: ignore[assignment]
        source="sold_by", help_text="The shop that sells it; change or cancel it there."
    )
    reference = serializers.CharField(source="sold_reference", help_text="Its id there; empty while unknown.")


class SubscriptionSerializer(serializers.Serializer):
    """The subscription in force; without one, the default tier applies and most fields are null."""

    id = serializers.UUIDField(allow_null=True)
    organization_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=SubscriptionStatus.choices)
    tier = TierSerializer()
    option = serializers.CharField()
    price = AmountField(help_text="USD a month.")
    monthly_credit = AmountField(help_text="USD of credit a month.")
    collection = serializers.ChoiceField(choices=Collection.choices)
    started_at = serializers.DateTimeField(allow_null=True)
    anchor_at = serializers.DateTimeField(allow_null=True, help_text="Months are counted from here.")
    time_zone = serializers.CharField(allow_null=True)
    period = PeriodSerializer(allow_null=True)
    trial_ends_at = serializers.DateTimeField(allow_null=True)
    trial_available = serializers.BooleanField(help_text="Whether a trial may still be started.")
    cancel_at_period_end = serializers.BooleanField()
    ends_at = serializers.DateTimeField(
        allow_null=True, help_text="When it will end: with this period, or with a later one that its seller has named."
    )
    pending = PendingSerializer(allow_null=True)
    lent = LentSerializer(allow_null=True)
    sold_elsewhere = SaleSerializer(allow_null=True)


def subscription_document(
    organization_id: Any, subscription: Subscription | None, tier: Tier, *, pending: TierChange | None, can_try: bool
) -> dict[str, Any]:
    """The subscription for its serializer."""
    shown = {
        "organization_id": organization_id,
        "tier": tier,
        "pending": pending,
        "trial_available": can_try,
    }
    if subscription is None:
        empty = dict.fromkeys(
            ("id", "started_at", "anchor_at", "time_zone", "period", "trial_ends_at", "ends_at", "lent")
        )
        empty["sold_elsewhere"] = None
        option = options_of(tier)[0]
        return {
            **empty,
            **shown,
            "status": SubscriptionStatus.ACTIVE,
            "option": option.slug,
            "price": tier.monthly_price,
            "monthly_credit": option.monthly_credit,
            "collection": Collection.NONE,
            "cancel_at_period_end": False,
        }
    names = ("id", "status", "option", "price", "monthly_credit", "collection", "started_at", "anchor_at")
    return {
        **{name: getattr(subscription, name) for name in (*names, "trial_ends_at", "cancel_at_period_end", "ends_at")},
        **shown,
        "time_zone": subscription.zone,
        "period": {
            "index": subscription.period_index,
            "starts_at": subscription.period_starts_at,
            "ends_at": subscription.period_ends_at,
        },
        "lent": subscription if subscription.paid_tier_id else None,
        "sold_elsewhere": subscription if subscription.sold_by else None,
    }

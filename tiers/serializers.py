"""JSON shapes of the tiers API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.serializers import AmountField
from tiers.models import ModelAccess, Tier


class ComponentSerializer(serializers.Serializer):
    """One part of the price of a call."""

    type = serializers.ChoiceField(choices=["percentage", "per_1k_tokens", "per_request"])
    percent = serializers.CharField(required=False, help_text="Of the provider's cost.")
    amount = serializers.CharField(required=False, help_text="USD.")
    applies_to = serializers.ChoiceField(choices=["free", "paid", "all"], help_text="Which models.")


class TierSerializer(serializers.Serializer):
    """A tier on offer."""

    slug = serializers.CharField()
    version = serializers.IntegerField()
    name = serializers.CharField()
    description = serializers.CharField()
    monthly_price = AmountField(help_text="USD.")
    monthly_credit = AmountField(help_text="USD of credit allocated each month.")
    welcome_credit = AmountField(help_text="USD given once on sign-up.")
    components = ComponentSerializer(many=True, help_text="What a call costs beyond the provider's price.")
    model_access = serializers.ChoiceField(choices=ModelAccess.choices)
    model_ids = serializers.ListField(child=serializers.CharField(), help_text='When access is "list".')
    byok_allowed = serializers.BooleanField(help_text="Whether calls may use the customer's own OpenRouter key.")
    overage_limit = AmountField(help_text="How far below zero the wallet may go, USD.")
    requests_per_minute = serializers.IntegerField()
    tokens_per_minute = serializers.IntegerField()
    entitlements = serializers.SerializerMethodField()
    is_default = serializers.BooleanField(help_text="The tier of new customers.")

    @extend_schema_field({"type": "object", "additionalProperties": True, "examples": [{"analytics_days": 90}]})
    def get_entitlements(self, tier: Tier) -> dict[str, Any]:
        """Further features by name."""
        return tier.entitlements


class ComparisonSerializer(serializers.Serializer):
    """All tiers on offer, in order."""

    data = TierSerializer(many=True)  # type: ignore[assignment]

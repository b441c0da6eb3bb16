"""JSON shapes of the provider side's API. None of them has a secret."""

from rest_framework import serializers

from core.serializers import AmountField, StrictSerializer
from openrouter.models import AccountStatus


class ByokSerializer(serializers.Serializer):
    """The organization's own OpenRouter key."""

    last_four = serializers.CharField(help_text="The key's last four characters; it is never shown again.")
    label = serializers.CharField(help_text="As OpenRouter labels it.")  # type: ignore[assignment]
    is_enabled = serializers.BooleanField(help_text="False: OpenRouter refused it when it was checked last.")
    verified_at = serializers.DateTimeField(help_text="When OpenRouter last accepted it.")
    created_at = serializers.DateTimeField()


class StoreByokSerializer(StrictSerializer):
    """Store a key."""

    key = serializers.CharField(
        max_length=250,
        write_only=True,
        trim_whitespace=True,
        help_text="Your OpenRouter API key (not a management key). Checked with OpenRouter, then stored encrypted.",
    )


class AccountSerializer(serializers.Serializer):
    """The organization's OpenRouter sub-key and what it has used, by OpenRouter's books."""

    status = serializers.ChoiceField(
        choices=AccountStatus.choices, help_text="`pending` and `failed`: the key is still being made."
    )
    mode = serializers.CharField(source="organization.mode", help_text="`live`, or `test` for the sandbox.")
    name = serializers.CharField(help_text="The key's name at OpenRouter.")
    label = serializers.CharField(help_text="The part of the key that may be shown.")  # type: ignore[assignment]
    spend_limit = AmountField(
        allow_null=True, help_text="USD over the life of the key; follows your credits, a little above them."
    )
    limit_remaining = AmountField(allow_null=True, help_text="USD of the limit that is left.")
    usage = AmountField(help_text="USD used over the life of the key.")
    usage_daily = AmountField(help_text="USD used this UTC day.")
    usage_monthly = AmountField(help_text="USD used this UTC month.")
    byok_usage = AmountField(help_text="List price in USD of calls on provider credentials of your own.")
    free_requests_limit = serializers.IntegerField(
        allow_null=True, help_text="Calls of free models a day, shared by all organizations."
    )
    free_requests_used = serializers.IntegerField(allow_null=True)
    last_synced_at = serializers.DateTimeField(allow_null=True, help_text="When these figures were read.")
    created_at = serializers.DateTimeField()
    byok = ByokSerializer(source="organization.byok_credential", allow_null=True, default=None)

"""JSON shapes of webhooks."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.serializers import StrictSerializer
from outbox.webhooks.addresses import LONGEST_URL
from outbox.webhooks.models import Off, State, WebhookDelivery, WebhookEndpoint, WebhookMessage
from outbox.webhooks.registry import NewsType, unknown_types
from outbox.webhooks.services import LONGEST_NAME, LONGEST_OVERLAP, OVERLAP, Wish


class EventsField(serializers.ListField):
    """Types of news, each one known."""

    child = serializers.CharField(max_length=60)

    def to_internal_value(self, data: Any) -> list[str]:
        """The names. Raises ValidationError that tells the unknown ones."""
        names: list[str] = super().to_internal_value(data)
        if unknown := unknown_types(names):
            raise serializers.ValidationError(
                f"Unknown type {unknown[0]!r}; GET webhooks/event-types lists them all.", code="unknown_type"
            )
        return names


class WebhookEndpointSerializer(serializers.ModelSerializer):
    """An endpoint; its secret is shown once, when it is made or replaced."""

    class Meta:
        model = WebhookEndpoint
        fields = [
            *("id", "url", "name", "events", "enabled", "disabled_reason", "disabled_at", "consecutive_failures"),
            *("old_secret_ends_at", "created_at", "modified_at"),
        ]

    disabled_reason = serializers.ChoiceField(
        choices=Off.choices, source="off_reason", allow_blank=True, help_text="Why nothing is sent; empty: it is."
    )
    disabled_at = serializers.DateTimeField(source="off_since", allow_null=True)
    consecutive_failures = serializers.IntegerField(
        source="failures", help_text="Messages given up since the last one that arrived; at 10 it is disabled."
    )
    old_secret_ends_at = serializers.DateTimeField(
        source="previous_ends_at", allow_null=True, help_text="Until then every message carries both signatures."
    )


class NewWebhookEndpointSerializer(WebhookEndpointSerializer):
    """An endpoint with its new secret, which no other answer repeats."""

    secret = serializers.CharField()

    class Meta(WebhookEndpointSerializer.Meta):
        fields = [*WebhookEndpointSerializer.Meta.fields, "secret"]


class WebhookEndpointRequestSerializer(StrictSerializer):
    """What an endpoint is to be."""

    url = serializers.CharField(max_length=LONGEST_URL, help_text="https, reachable from the internet.")
    name = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_NAME, default="")
    events = EventsField(min_length=1, max_length=100, help_text="Types of news that it is told of.")

    def wish(self) -> Wish:
        """The valid body for the services."""
        return Wish(**self.validated_data)


class WebhookRotationSerializer(StrictSerializer):
    """How long the old secret signs too."""

    overlap_seconds = serializers.IntegerField(
        default=int(OVERLAP.total_seconds()), min_value=0, max_value=int(LONGEST_OVERLAP.total_seconds())
    )


class WebhookEnableSerializer(StrictSerializer):
    """Whether what was lost is sent."""

    replay = serializers.BooleanField(
        default=True,
        help_text="Send what it missed in the last three days, and what was given up just before it was disabled.",
    )


class WebhookReplaySerializer(StrictSerializer):
    """From when on."""

    since = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Only what happened from then on; without: all kept."
    )


class WebhookReplayedSerializer(serializers.Serializer):
    """How many messages will be sent again."""

    messages = serializers.IntegerField()


class WebhookMessageSerializer(serializers.ModelSerializer):
    """One event for one endpoint."""

    class Meta:
        model = WebhookMessage
        fields = [
            *("id", "event_id", "endpoint_id", "type", "state", "attempts", "next_attempt_at", "last_http_code"),
            *("created_at", "ended_at"),
        ]

    type = serializers.CharField(source="event.type")
    state = serializers.ChoiceField(
        choices=State.choices,
        help_text="waiting: will be tried; failed: given up; missed: the endpoint was off.",
    )
    attempts = serializers.IntegerField(help_text="Since it was last begun with.")
    next_attempt_at = serializers.SerializerMethodField()
    last_http_code = serializers.IntegerField(source="last_code", allow_null=True)
    created_at = serializers.DateTimeField(help_text="When it happened.")

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_next_attempt_at(self, message: WebhookMessage) -> Any:
        """When a waiting one is tried next."""
        return self.fields["created_at"].to_representation(message.due_at) if message.state == State.WAITING else None


class WebhookDeliverySerializer(serializers.ModelSerializer):
    """One attempt and what came of it."""

    class Meta:
        model = WebhookDelivery
        fields = [
            *("id", "message_id", "event_id", "endpoint_id", "type", "number", "succeeded", "http_code", "problem"),
            *("response", "duration_ms", "created_at"),
        ]

    type = serializers.CharField(source="event.type")
    number = serializers.IntegerField(help_text="1 for the first attempt.")
    http_code = serializers.IntegerField(allow_null=True, help_text="null: no answer.")
    problem = serializers.CharField(help_text="Why it counts as failed; empty for a success.")
    response = serializers.CharField(help_text="How the answer began, up to 1,000 characters.")


class WebhookEventTypeSerializer(serializers.Serializer):
    """A type of news that endpoints can choose."""

    name = serializers.CharField()
    description = serializers.CharField(source="words")
    api_version = serializers.SerializerMethodField(help_text="Of the usage-billing API; null for Farebox's own.")

    def get_api_version(self, type: NewsType) -> str | None:
        """Null for our own."""
        return type.version or None


class WebhookEventTypesSerializer(serializers.Serializer):
    """All of them."""

    types = WebhookEventTypeSerializer(many=True)

"""JSON shapes of the meter's API."""

from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.serializers import AmountField, StrictSerializer
from core.times import wire_time
from metering.models import Kind


class TagSumsSerializer(serializers.Serializer):
    """What was used under something."""

    events = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    total_tokens = serializers.SerializerMethodField(help_text="Prompt and completion tokens.")
    provider_cost = AmountField(help_text="What the providers billed, USD.")
    markup = AmountField(help_text="What was added, USD.")
    charge = AmountField(help_text="What it cost you: provider cost and markup, USD.")

    def get_total_tokens(self, row: dict[str, Any]) -> int:
        """Prompt and completion tokens."""
        return int(row["prompt_tokens"] + row["completion_tokens"])


class SumsSerializer(TagSumsSerializer):
    """Sums of usage."""

    errors = serializers.IntegerField()  # type: ignore[assignment]
    cached_tokens = serializers.IntegerField()
    cache_write_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    quantity = AmountField(help_text="Whatever else was counted.")
    byok_cost = AmountField(help_text="Billed to your own provider key; costs no credits. USD.")
    average_latency_ms = serializers.SerializerMethodField()

    def get_average_latency_ms(self, row: dict[str, Any]) -> int | None:
        """Over the events that named theirs."""
        count = row["latency_count"]
        return round(Decimal(row["latency_ms"]) / count) if count else None


class PeriodSerializer(serializers.Serializer):
    """The range that the figures are of."""

    to = serializers.DateTimeField(source="span.end", help_text="Excluded.")
    time_zone = serializers.CharField(source="span.zone.key")
    currency = serializers.CharField(default="USD")

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a Python keyword, so it is added here."""
        return {"from": serializers.DateTimeField(source="span.start"), **super().get_fields()}


class KindSumsSerializer(SumsSerializer):
    """Sums of one kind of usage."""

    kind = serializers.ChoiceField(choices=Kind.choices)


class ModelSumsSerializer(SumsSerializer):
    """Sums of one model; ``model`` is empty for usage without one."""

    model = serializers.CharField()
    is_free = serializers.BooleanField()


class BucketSerializer(SumsSerializer):
    """Sums of one hour, day or month."""

    start = serializers.SerializerMethodField(help_text="In your time zone.")

    @extend_schema_field(OpenApiTypes.DATETIME)
    def get_start(self, row: dict[str, Any]) -> str:
        """With the zone's offset at that time, Z where it is none."""
        return wire_time(row["start"])


class UserSumsSerializer(SumsSerializer):
    """Sums of one member; ``member_id`` is null for keys that belong to none."""

    member_id = serializers.UUIDField(allow_null=True)
    email = serializers.CharField(allow_null=True)


class TagRowSerializer(TagSumsSerializer):
    """Sums of one tag."""

    key = serializers.CharField(source="tag_key")
    value = serializers.CharField(source="tag_value")


class SummarySerializer(PeriodSerializer):
    """Usage of a period beside that of the period before."""

    total = SumsSerializer()
    previous = SumsSerializer(
        allow_null=True, help_text="The same length of time before; null beyond the history that your tier keeps."
    )
    by_kind = KindSumsSerializer(many=True)


class ByModelSerializer(PeriodSerializer):
    """Usage by model, dearest first."""

    data = ModelSumsSerializer(many=True)  # type: ignore[assignment]


class ByDateSerializer(PeriodSerializer):
    """Usage over time, oldest first, zeros included."""

    granularity = serializers.CharField()
    data = BucketSerializer(many=True)  # type: ignore[assignment]


class ByUserSerializer(PeriodSerializer):
    """Usage by member, dearest first."""

    data = UserSumsSerializer(many=True)  # type: ignore[assignment]


class ByTagSerializer(serializers.Serializer):
    """Usage by tag over days of UTC, dearest first."""

    to = serializers.DateField(source="last")
    currency = serializers.CharField(default="USD")
    data = TagRowSerializer(many=True)  # type: ignore[assignment]

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a Python keyword, so it is added here."""
        return {"from": serializers.DateField(source="first"), **super().get_fields()}


class FreeTierSerializer(PeriodSerializer):
    """Use of free models, and how much of them a minute allows."""

    tier = serializers.CharField()
    requests_per_minute = serializers.IntegerField(help_text="Calls of free models that your tier allows in a minute.")
    total = SumsSerializer()
    today = SumsSerializer()
    by_model = ModelSumsSerializer(many=True)


class EventSerializer(serializers.Serializer):
    """One use."""

    id = serializers.UUIDField()
    external_id = serializers.CharField(allow_null=True, help_text="Your own id.")
    kind = serializers.ChoiceField(choices=Kind.choices)
    name = serializers.CharField()
    source = serializers.CharField(help_text="gateway, api, otel or import.")  # type: ignore[assignment]
    status = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    received_at = serializers.DateTimeField()
    model = serializers.CharField()
    provider = serializers.CharField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    cache_write_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    quantity = AmountField()
    provider_cost = AmountField()
    markup = AmountField()
    charge = AmountField()
    byok_cost = AmountField()
    cost_source = serializers.CharField(help_text="provider, computed, estimated, caller or none.")
    is_free = serializers.BooleanField()
    is_byok = serializers.BooleanField()
    tier = serializers.CharField(source="tier_slug")
    price_id = serializers.UUIDField(allow_null=True, help_text="The row of the price book.")
    entry_id = serializers.UUIDField(allow_null=True, help_text="The ledger entry that paid for it.")
    hold_id = serializers.UUIDField(allow_null=True)
    member_id = serializers.UUIDField(allow_null=True)
    api_key_id = serializers.UUIDField(allow_null=True)
    generation_id = serializers.CharField()
    latency_ms = serializers.IntegerField(allow_null=True)
    tags = serializers.DictField(child=serializers.CharField())
    metadata = serializers.JSONField()
    corrects_id = serializers.UUIDField(allow_null=True, help_text="The voided event that this one replaces.")
    voided_at = serializers.DateTimeField(allow_null=True, help_text="Since when it counts no longer.")
    customer_id = serializers.UUIDField(allow_null=True, help_text="Which of your own customers used it.")
    external_customer_id = serializers.CharField(allow_null=True, help_text="The same by your own id.")
    parent_id = serializers.CharField(allow_null=True, help_text="The event that it is part of, as reported.")


class ReasonSerializer(StrictSerializer):
    """Why an event is taken back."""

    reason = serializers.CharField(max_length=300)


class CorrectionSerializer(serializers.Serializer):
    """An event that was taken back."""

    event_id = serializers.UUIDField()
    replacement_id = serializers.UUIDField(allow_null=True)
    reversal_entry_id = serializers.UUIDField(
        source="entry_id", allow_null=True, help_text="Null when nothing had been charged."
    )
    reason = serializers.CharField()
    actor = serializers.CharField()
    created_at = serializers.DateTimeField()


class CorrectedSerializer(serializers.Serializer):
    """A correction and the event that counts now."""

    correction = CorrectionSerializer()
    event = EventSerializer()


class ReceiptRowSerializer(serializers.Serializer):
    """One line of a receipt."""

    label = serializers.CharField()  # type: ignore[assignment]
    sum = serializers.CharField(help_text="How it was computed.")
    amount = AmountField(help_text="USD, exact.")


class PriceSerializer(serializers.Serializer):
    """The row of the price book that applied."""

    id = serializers.UUIDField()
    model = serializers.CharField(source="model_id")
    pricing = serializers.JSONField(help_text="USD by price class.")
    effective_from = serializers.DateTimeField()
    effective_to = serializers.DateTimeField(allow_null=True)
    source = serializers.CharField()  # type: ignore[assignment]


class PartSerializer(serializers.Serializer):
    """What one lot of credit paid."""

    lot = serializers.UUIDField(source="lot.id", allow_null=True, default=None, help_text="Null for overage.")
    kind = serializers.CharField()
    amount = AmountField(help_text="USD, negative when it was taken.")
    reason = serializers.CharField(help_text="What the credit was granted for, for example `Coupon WELCOME10`.")


class EventHoldSerializer(serializers.Serializer):
    """What had been set aside."""

    id = serializers.UUIDField()
    amount = AmountField()
    status = serializers.CharField()
    placed_at = serializers.DateTimeField()


class ExplanationSerializer(serializers.Serializer):
    """Why an event cost what it did."""

    event = EventSerializer()
    words = serializers.ListField(child=serializers.CharField(), help_text="The explanation as sentences.")
    usage = ReceiptRowSerializer(source="receipt.usage", many=True, help_text="What the price list says, by class.")
    provider_cost = AmountField(source="receipt.cost", help_text="USD, exact.")
    cost_source = serializers.CharField(source="event.cost_source")
    additions = ReceiptRowSerializer(source="receipt.additions", many=True, help_text="Markup, fees and rounding.")
    charge = AmountField(source="receipt.charge")
    metered = ReceiptRowSerializer(
        source="receipt.metered", many=True, help_text="What it changed on the tier's meters, beside the charge."
    )
    components = serializers.JSONField(source="event.derivation.components", default=list, help_text="The tier's rule.")  # type: ignore[arg-type]
    price = PriceSerializer(source="receipt.price", allow_null=True)
    paid_by = PartSerializer(source="receipt.paid_by", many=True)
    returned = AmountField(source="receipt.returned")
    hold = EventHoldSerializer(source="receipt.hold", allow_null=True)
    attempts = serializers.ListField(source="receipt.attempts", child=serializers.DictField())
    agrees = serializers.BooleanField(source="receipt.agrees", help_text="Whether computing it again gives the same.")
    problem = serializers.CharField(source="receipt.problem", allow_blank=True)

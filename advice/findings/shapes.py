"""JSON shapes of recommendations."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from advice.findings.words import Advice
from advice.models import Confidence, Finding, RecommendationState
from core.serializers import AmountField, StrictSerializer


class RecommendationSerializer(serializers.Serializer):
    """One way to spend less. On a tier with tips alone there are no figures."""

    id = serializers.UUIDField(source="row.pk")
    kind = serializers.ChoiceField(source="row.kind", choices=Finding.choices)
    subject = serializers.CharField(source="row.subject", help_text="What it is about: a model, a prompt, a tier.")
    state = serializers.ChoiceField(source="row.state", choices=RecommendationState.choices)
    title = serializers.CharField()
    text = serializers.CharField()
    caution = serializers.CharField()
    saving = AmountField(source="row.saving", allow_null=True, help_text="USD a month, by the last thirty days.")
    confidence = serializers.ChoiceField(source="row.confidence", choices=Confidence.choices, allow_null=True)
    evidence = serializers.DictField(
        source="row.evidence", allow_null=True, help_text="The figures it was computed from; amounts are USD as text."
    )
    may_be_applied = serializers.BooleanField(help_text="Whether the gateway can follow it.")
    rule_id = serializers.UUIDField(source="row.rule_id", allow_null=True, help_text="The routing rule that does.")
    found_at = serializers.DateTimeField(source="row.found_at")
    computed_at = serializers.DateTimeField(source="row.computed_at")
    decided_at = serializers.DateTimeField(source="row.decided_at", allow_null=True)
    decided_by = serializers.CharField(source="row.decided_by")
    reason = serializers.CharField(source="row.reason")

    def to_representation(self, advice: Advice) -> dict[str, Any]:
        """Without figures where the context says so."""
        data = super().to_representation(advice)
        if not self.context.get("with_figures", True):
            data |= dict.fromkeys(("saving", "confidence", "evidence"))
            data["may_be_applied"] = False
        return data


@extend_schema_serializer(many=False)
class RecommendationsSerializer(serializers.Serializer):
    """What was looked through, and what was found: the greatest saving first. Savings do not add up."""

    computed_at = serializers.DateTimeField(allow_null=True, help_text="Null: not yet; it happens within a day.")
    events = serializers.IntegerField()
    spend = AmountField(help_text="USD, own provider key included.")
    level = serializers.ChoiceField(
        choices=["tips", "recommendations", "ai"], help_text="What the tier includes; `tips` are without figures."
    )
    data = RecommendationSerializer(many=True)  # type: ignore[assignment]


class DismissSerializer(StrictSerializer):
    """Why it is let be."""

    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=300)


class RecommendationQuerySerializer(StrictSerializer):
    """Which recommendations."""

    state = serializers.ChoiceField(
        choices=[choice for choice in RecommendationState.choices if choice[0] != "gone"],
        default=RecommendationState.OPEN,
    )


DISMISS_EXAMPLE = OpenApiExample("A reason", {"reason": "We need the larger model here."}, request_only=True)
NOTHING = {"computed_at": None, "events": 0, "spend": Decimal(0)}

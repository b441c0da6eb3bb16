"""JSON shapes of written advice."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

from advice.models import WritingState, WrittenAdvice

FAILED = "The model could not be asked. You may ask again."


class WrittenAdviceSerializer(serializers.ModelSerializer):
    """Advice that a language model wrote. Nothing is charged for it."""

    state = serializers.ChoiceField(choices=WritingState.choices)
    text = serializers.CharField(help_text="Plain text, once the state is `written`.")
    problem = serializers.SerializerMethodField(help_text="Why there is none, once the state is `failed`.")
    figures = serializers.SerializerMethodField(help_text="All that the model was given; amounts are USD as text.")

    class Meta:
        model = WrittenAdvice
        fields = [
            *("id", "state", "text", "problem", "model", "prompt_tokens", "completion_tokens"),
            *("figures", "requested_by", "created_at", "finished_at"),
        ]

    def get_problem(self, row: WrittenAdvice) -> str:
        """The provider's own words are the operator's."""
        return FAILED if row.state == WritingState.FAILED else ""

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_figures(self, row: WrittenAdvice) -> dict[str, Any]:
        """As they were sent."""
        return row.figures


EXAMPLE = OpenApiExample(
    "Written",
    {
        "id": "0192f5d2-0000-7000-8000-000000000001",
        "state": "written",
        "text": "Nine tenths of your spend go to openai/gpt-4o.",
        "problem": "",
        "model": "openai/gpt-4o-mini",
        "prompt_tokens": 640,
        "completion_tokens": 180,
        "figures": {"totals": {"events": 300, "spend": "12.50"}, "by_model": [], "by_kind": [], "findings": []},
        "requested_by": "ada@example.com",
        "created_at": "2026-03-31T12:00:00Z",
        "finished_at": "2026-03-31T12:00:06Z",
    },
    response_only=True,
)

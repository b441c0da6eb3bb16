"""Meters on the wire of the native API."""

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

from core.money import to_wire
from core.serializers import StrictSerializer
from metering.meters.buckets import INTERVALS
from metering.meters.customers import CustomerRef
from metering.meters.grammar import FUNCTIONS, LONGEST_PROPERTY, OPERATORS

_COMPARISON = {
    "type": "object",
    "required": ["property", "operator", "value"],
    "properties": {
        "property": {"type": "string", "maxLength": LONGEST_PROPERTY},
        "operator": {"type": "string", "enum": list(OPERATORS)},
        "value": {"type": ["string", "integer", "boolean"]},
    },
    "additionalProperties": False,
}
FILTER = {
    "type": "object",
    "description": "Clauses are comparisons or filters again; a filter without clauses lets every event through.",
    "required": ["conjunction", "clauses"],
    "properties": {
        "conjunction": {"type": "string", "enum": ["and", "or"]},
        "clauses": {"type": "array", "items": {"anyOf": [_COMPARISON, {"type": "object", "required": ["clauses"]}]}},
    },
    "additionalProperties": False,
}
AGGREGATION = {
    "type": "object",
    "description": "`property` names what is aggregated; `count` needs none.",
    "required": ["func"],
    "properties": {"func": {"type": "string", "enum": list(FUNCTIONS)}, "property": {"type": "string"}},
    "additionalProperties": False,
}


@extend_schema_field(FILTER)
class FilterField(serializers.JSONField):
    """A filter; ``grammar`` says what is wrong with one."""


@extend_schema_field(AGGREGATION)
class AggregationField(serializers.JSONField):
    """An aggregation."""


@extend_schema_field({"type": "string", "format": "decimal", "description": "An exact number."})
class QuantityField(serializers.Field):
    """A quantity as plain decimal text."""

    def to_representation(self, value: Any) -> str:
        """Without exponent or trailing zeros."""
        return to_wire(value)


class MeterSerializer(serializers.Serializer):
    """A meter."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    filter = FilterField()
    aggregation = AggregationField()
    unit = serializers.CharField()
    metadata = serializers.JSONField()
    archived_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    modified_at = serializers.DateTimeField(allow_null=True)


class MeterRequestSerializer(StrictSerializer):
    """A meter to be made."""

    name = serializers.CharField(min_length=3, max_length=128)
    filter = FilterField()
    aggregation = AggregationField()
    unit = serializers.CharField(required=False, max_length=40, help_text="What a quantity is counted in.")
    metadata = serializers.DictField(required=False)


class MeterChangeSerializer(StrictSerializer):
    """What is to change about a meter."""

    name = serializers.CharField(required=False, min_length=3, max_length=128)
    filter = FilterField(required=False)
    aggregation = AggregationField(required=False)
    unit = serializers.CharField(required=False, max_length=40)
    metadata = serializers.DictField(required=False)
    is_archived = serializers.BooleanField(required=False)


class MeterListQuerySerializer(StrictSerializer):
    """Which meters to list."""

    query = serializers.CharField(required=False, max_length=128, help_text="Part of the name, in any case.")
    is_archived = serializers.BooleanField(required=False, allow_null=True, default=None)


class QuantitiesQuerySerializer(StrictSerializer):
    """Which events to ask a meter of, and how to part them."""

    to = serializers.DateTimeField(help_text="Events that happened before it.")
    interval = serializers.ChoiceField(choices=INTERVALS, default="day")
    time_zone = serializers.CharField(required=False, max_length=64, help_text="Your organization's unless given.")
    customer_id = serializers.UUIDField(required=False)
    external_customer_id = serializers.CharField(required=False, max_length=255)
    group_by = serializers.CharField(required=False, max_length=LONGEST_PROPERTY, help_text="A property.")
    metadata = serializers.ListField(
        child=serializers.CharField(max_length=400),
        required=False,
        help_text="`key:value`; the same key again means either value, another key both.",
    )

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a Python keyword, so it is added here."""
        first = serializers.DateTimeField(help_text="Events that happened at or after it.")
        return {"from": first, **super().get_fields()}

    def validate_group_by(self, value: str) -> str:
        """A property as a meter names it."""
        return value.removeprefix("metadata.")

    def validate_time_zone(self, value: str) -> ZoneInfo:
        """The zone itself."""
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise serializers.ValidationError("There is no such time zone.", "invalid_choice") from None

    def validate_metadata(self, value: list[str]) -> dict[str, list[str]]:
        """The wanted texts by key."""
        wanted: dict[str, list[str]] = {}
        for pair in value:
            key, colon, text = pair.partition(":")
            if not colon:
                raise serializers.ValidationError("Give it as key:value.", "invalid")
            wanted.setdefault(key, []).append(text)
        return wanted

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A range that goes forward."""
        if attrs["from"] >= attrs["to"]:
            raise serializers.ValidationError({"to": serializers.ErrorDetail("It must be after from.", "out_of_range")})
        return attrs

    def customer(self) -> CustomerRef | None:
        """The customer that is asked about; None: all."""
        asked = self.validated_data
        if "customer_id" not in asked and "external_customer_id" not in asked:
            return None
        return CustomerRef(asked.get("customer_id"), asked.get("external_customer_id"))


class MeterBucketSerializer(serializers.Serializer):
    """A step of the range."""

    start = serializers.DateTimeField()
    quantity = QuantityField()


class MeterGroupSerializer(serializers.Serializer):
    """Events with one value in the property."""

    value = serializers.JSONField(help_text="null: events without the property.")
    total = QuantityField()
    buckets = MeterBucketSerializer(many=True)


class MeterQuantitiesSerializer(serializers.Serializer):
    """What a meter comes to. `total` is the quantity of the whole range, for averages no sum of buckets."""

    total = QuantityField()
    buckets = MeterBucketSerializer(many=True)
    groups = MeterGroupSerializer(many=True, help_text="Largest first; empty without group_by.")


_TOKENS = {
    "name": "Tokens of large models",
    "filter": {
        "conjunction": "and",
        "clauses": [
            {"property": "name", "operator": "eq", "value": "llm-usage"},
            {
                "conjunction": "or",
                "clauses": [
                    {"property": "model", "operator": "like", "value": "large"},
                    {"property": "_llm.total_tokens", "operator": "gte", "value": 10000},
                ],
            },
        ],
    },
    "aggregation": {"func": "sum", "property": "totalTokens"},
    "unit": "token",
}
METER_EXAMPLE = OpenApiExample("Tokens, of some calls", value=_TOKENS, request_only=True)
CHANGE_EXAMPLE = OpenApiExample("Archive it", value={"is_archived": True}, request_only=True)

"""Serializer fields shared by every API."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.money import InvalidAmount, parse_money, read_decimal, to_wire


@extend_schema_field({"type": "string", "format": "decimal", "examples": ["10.00"]})
class AmountField(serializers.Field):
    """USD with up to 12 places; comes in as a decimal string (or an integer), leaves as a string."""

    default_error_messages = {"not_positive": "The amount must be greater than zero."}

    def __init__(self, *, allow_zero: bool = False, **kwargs: Any) -> None:
        self.allow_zero = allow_zero
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        """Exact Decimal, or a field error."""
        try:
            amount = parse_money(data)
        except InvalidAmount as error:
            raise serializers.ValidationError(str(error), code="invalid_amount") from None
        if amount < 0 or (amount == 0 and not self.allow_zero):
            self.fail("not_positive")
        return amount

    def to_representation(self, value: Decimal) -> str:
        """Plain decimal text."""
        return to_wire(value)


class PlainDecimalField(serializers.DecimalField):
    """A number, as one or as plain text."""

    def to_internal_value(self, data: Any) -> Decimal:
        """Exact Decimal, or a field error."""
        if isinstance(data, str):
            try:
                data = read_decimal(data)
            except InvalidAmount:
                self.fail("invalid")
        return super().to_internal_value(data)


class IdField(serializers.UUIDField):
    """An id as text; a number or ``true`` is none, though Python would make one of it."""

    def to_internal_value(self, data: Any) -> UUID:
        """The id, or a field error."""
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class StrictSerializer(serializers.Serializer):
    """Refuses fields that it does not know, so that a misspelt name is never silently ignored."""

    def to_internal_value(self, data: Any) -> Any:
        """Validate as usual after the names."""
        if isinstance(data, dict) and (unknown := sorted(set(data) - set(self.fields))):
            names = ", ".join(self.fields)
            raise serializers.ValidationError(
                {
                    name: serializers.ErrorDetail(f"Unknown field; known are {names}.", "unknown_field")
                    for name in unknown
                }
            )
        return super().to_internal_value(data)

"""JSON shapes of the payments API."""

from rest_framework import serializers

from core.serializers import AmountField, StrictSerializer
from payments.models import Purpose, Status
from payments.words import description_of


class PaymentMethodSerializer(serializers.Serializer):
    """A saved payment method."""

    id = serializers.UUIDField()
    provider = serializers.CharField()
    name = serializers.CharField(source="label", help_text="What its owner knows it by.")
    is_default = serializers.BooleanField(help_text="Automatic payments charge this one.")
    created_at = serializers.DateTimeField()


class PaymentSerializer(serializers.Serializer):
    """One amount that is owed or was paid."""

    id = serializers.UUIDField()
    purpose = serializers.ChoiceField(choices=Purpose.choices)
    description = serializers.SerializerMethodField()
    status = serializers.ChoiceField(choices=Status.choices)
    currency = serializers.CharField()
    gross = AmountField(help_text="Before the discount, USD.")
    discount = AmountField()
    amount = AmountField(help_text="gross − discount: what is paid, whole cents.")
    credits = AmountField(help_text="Credit that comes with it, USD.")
    refunded = AmountField()
    provider = serializers.CharField()
    checkout_url = serializers.CharField(help_text="Where it can be paid; empty before it is asked for.")
    failure_code = serializers.CharField(help_text="Why the last try failed; empty if none did.")
    failure_message = serializers.CharField()
    attempts = serializers.IntegerField()
    retry_at = serializers.DateTimeField(allow_null=True, help_text="The next automatic step.")
    due_at = serializers.DateTimeField()
    created_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)

    def get_description(self, payment) -> str:  # type: ignore[no-untyped-def]
        """What is paid for, in words."""
        return description_of(payment)


class CheckoutSerializer(StrictSerializer):
    """Buy credit."""

    credits = AmountField(help_text="USD of credit; 1 USD buys 1.00. At least 1, whole cents.")
    key = serializers.CharField(
        max_length=180,
        required=False,
        help_text="Makes the purchase unique for ever, beside the Idempotency-Key header.",
    )


class CheckoutAnswerSerializer(serializers.Serializer):
    """A payment and the page to pay it on."""

    payment = PaymentSerializer()
    checkout_url = serializers.CharField(help_text="Send the payer there.")


class MarkPaidSerializer(StrictSerializer):
    """The money arrived by another way."""

    reason = serializers.CharField(max_length=300)


class AutoTopUpSerializer(serializers.Serializer):
    """The rule for automatic top-ups."""

    threshold = AmountField(help_text="Below this much available credit, USD.")
    amount = AmountField(help_text="What is bought.")
    monthly_cap = AmountField(allow_null=True, help_text="At most this much in a calendar month.")
    is_enabled = serializers.BooleanField()
    paused_at = serializers.DateTimeField(allow_null=True, help_text="Since a payment was declined or disputed.")
    pause_reason = serializers.CharField()
    paused_by_dispute = serializers.BooleanField(help_text="Then another method is not enough: set the rule again.")
    updated_at = serializers.DateTimeField()


class SetAutoTopUpSerializer(StrictSerializer):
    """Set the rule."""

    threshold = AmountField(allow_zero=True)
    amount = AmountField(help_text="At least 1, whole cents.")
    monthly_cap = AmountField(allow_null=True, default=None)
    is_enabled = serializers.BooleanField(default=True)

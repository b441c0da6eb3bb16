"""JSON shapes of the ledger's API."""

from rest_framework import serializers

from core.serializers import AmountField, IdField, StrictSerializer
from credits.models import EntryKind, Hold, LotKind
from credits.services.holds import caller_key


class BalanceSerializer(serializers.Serializer):
    """A wallet."""

    organization_id = serializers.UUIDField()
    balance = AmountField(help_text="Posted credit, USD.")
    held = AmountField(help_text="Reserved by open holds.")
    available = AmountField(help_text="balance − held − pending: what a new call may claim.")
    pending = AmountField(help_text="Granted, effective later.")
    overage = AmountField(help_text="Owed below zero.")
    overage_limit = AmountField(help_text="How far below zero the wallet may go.")
    currency = serializers.CharField()
    at = serializers.DateTimeField()


class PastBalanceSerializer(serializers.Serializer):
    """The posted balance at a past instant."""

    organization_id = serializers.UUIDField()
    balance = AmountField()
    currency = serializers.CharField()
    at = serializers.DateTimeField()


class AllocationSerializer(serializers.Serializer):
    """One lot's part in a movement."""

    lot = serializers.UUIDField(allow_null=True, help_text="Null for overage.")
    kind = serializers.CharField()
    amount = serializers.CharField()


class EntrySerializer(serializers.Serializer):
    """One movement of the ledger."""

    id = serializers.UUIDField()
    number = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=EntryKind.choices)
    amount = AmountField(help_text="Signed, USD.")
    balance_after = AmountField()
    allocations = AllocationSerializer(many=True)
    reason = serializers.CharField()
    actor = serializers.CharField()
    hold_id = serializers.UUIDField(allow_null=True)
    event_id = serializers.UUIDField(allow_null=True, help_text="The usage event that caused it.")
    reverses_id = serializers.UUIDField(allow_null=True)
    effective_at = serializers.DateTimeField()
    posted_at = serializers.DateTimeField()


class LotSerializer(serializers.Serializer):
    """Credit of one grant."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=LotKind.choices)
    amount = AmountField()
    remaining = AmountField()
    held = AmountField()
    priority = serializers.IntegerField(help_text="Lower burns first.")
    effective_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)


class PostingSerializer(serializers.Serializer):
    """A posted movement and the wallet after it."""

    entry_id = serializers.UUIDField(allow_null=True)
    lot_id = serializers.UUIDField(allow_null=True)
    balance = AmountField()
    held = AmountField()
    available = AmountField()
    replayed = serializers.BooleanField(help_text="The key was known: nothing moved.")


class _Movement(StrictSerializer):
    reason = serializers.CharField(max_length=300)
    key = serializers.CharField(
        max_length=200,
        required=False,
        help_text="Makes the movement unique for ever, beside the Idempotency-Key header.",
    )


class AllocateSerializer(_Movement):
    """Add credit."""

    amount = AmountField()
    kind = serializers.ChoiceField(choices=LotKind.choices, default=LotKind.BONUS)
    priority = serializers.IntegerField(required=False, min_value=0, max_value=1000)
    effective_at = serializers.DateTimeField(required=False)
    expires_at = serializers.DateTimeField(required=False)


class DeductSerializer(_Movement):
    """Take credit."""

    amount = AmountField()
    allow_overage = serializers.BooleanField(default=True)


class RefundSerializer(_Movement):
    """Give a charge back."""

    entry_id = IdField()
    amount = AmountField(required=False, help_text="Default: all that is left of the charge.")


class PlaceHoldSerializer(StrictSerializer):
    """Set credit aside."""

    amount = AmountField()
    key = serializers.CharField(
        max_length=200,
        required=False,
        help_text="Unique per organization; sent again it returns the first hold. Without one the Idempotency-Key "
        "header does the same; without either every request places a hold of its own.",
    )
    expires_in = serializers.IntegerField(default=900, min_value=1, max_value=86_400, help_text="Seconds.")
    model = serializers.CharField(
        default="", max_length=160, help_text="What the call will use: budgets of this model reserve too."
    )
    tags = serializers.DictField(
        child=serializers.CharField(max_length=200),
        default=dict,
        help_text="What the call will be tagged with: budgets of these tags reserve too.",
    )


class SettleHoldSerializer(StrictSerializer):
    """Charge what it cost."""

    amount = AmountField(allow_zero=True)
    reason = serializers.CharField(max_length=300, default="")


class HoldSerializer(serializers.Serializer):
    """Credit set aside for one call."""

    id = serializers.UUIDField()
    amount = AmountField(help_text="Reserved, USD.")
    key = serializers.SerializerMethodField(help_text="As the caller gave it.")
    purpose = serializers.CharField()
    status = serializers.CharField()
    settled_amount = AmountField(allow_null=True)
    placed_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_key(self, hold: Hold) -> str:
        """Keys of the API are kept apart from those of the gateway; a caller sees its own."""
        return caller_key(hold)


class PlacedHoldSerializer(HoldSerializer):
    """A hold and the wallet after it."""

    balance = AmountField(help_text="Posted credit, USD.")
    held = AmountField(help_text="Reserved by all open holds.")
    available = AmountField(help_text="What a new call may claim.")


class EndedHoldSerializer(PlacedHoldSerializer):
    """A hold that has ended, what it was charged and the wallet after it."""

    entry_id = serializers.UUIDField(allow_null=True, help_text="The ledger entry of the charge; null without one.")
    charged = AmountField(help_text="USD; 0 when it was released.")


class StatementSerializer(serializers.Serializer):
    """One period: opening + the movements = closing."""

    id = serializers.UUIDField(allow_null=True, help_text="Null while the period runs.")
    number = serializers.IntegerField(allow_null=True, help_text="Counts from 1 within the organization.")
    status = serializers.ChoiceField(choices=["open", "final"], help_text="An open one can still change.")
    title = serializers.CharField(help_text="The tier.")
    month = serializers.CharField(help_text="YYYY-MM of its start, in its zone.")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(help_text="Not included.")
    opening_balance = AmountField()
    movements = serializers.DictField(child=AmountField(), help_text="Signed sums by kind of movement.")
    closing_balance = AmountField()
    overage = AmountField(help_text="Owed below zero at the end; inside the closing balance.")


class UsageLineSerializer(serializers.Serializer):
    """What one model or meter was charged for: cost + markup = charge."""

    section = serializers.ChoiceField(choices=["model", "meter", "other"])
    label = serializers.CharField(help_text="The model's id or the event's name.")  # type: ignore[assignment]
    events = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    quantity = serializers.CharField()
    cost = AmountField()
    markup = AmountField()
    charge = AmountField()


class StatementDetailSerializer(StatementSerializer):
    """One period, with its usage by model and by meter."""

    usage = UsageLineSerializer(many=True, help_text="Adds up to the usage movement.")


class StatementListSerializer(serializers.Serializer):
    """Newest first."""

    data = StatementSerializer(many=True)  # type: ignore[assignment]

"""JSON shapes of coupons."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from core.serializers import AmountField, StrictSerializer
from coupons.models import AppliesTo, Coupon, Kind, State
from coupons.services.creating import LARGEST_BATCH
from coupons.terms import Limits, Terms
from coupons.words import offer_of

# Filled in for types that need it and were given none.
_DEFAULTS: dict[str, dict[str, Any]] = {
    Kind.FREE_PERIOD: {"periods": 1},
    Kind.TIER: {"periods": 1},
    Kind.PERCENT: {"applies_to": AppliesTo.ANY.value},
    Kind.BONUS: {},
}
_LIMITS = tuple(Limits.__slots__)


class PercentField(AmountField):
    """A percentage; comes in as a decimal string (or an integer), leaves as a string."""

    default_error_messages = {"not_positive": "The percentage must be greater than zero."}


class _Effect(serializers.Serializer):
    code = serializers.CharField()
    type = serializers.ChoiceField(choices=Kind.choices, source="kind")
    offer = serializers.SerializerMethodField(help_text="What it gives, in words.")
    amount = AmountField(allow_null=True, help_text="bonus: USD of credit.")
    credit_days = serializers.IntegerField(allow_null=True, help_text="bonus: days it lasts; null: for ever.")
    percent = PercentField(allow_null=True, help_text="percent: how much less the payments cost.")
    applies_to = serializers.ChoiceField(
        choices=AppliesTo.choices, allow_blank=True, help_text="percent: which payments."
    )
    periods = serializers.IntegerField(
        allow_null=True, help_text="How many payments or months; null on percent: every payment to come."
    )
    tier = serializers.CharField(source="tier_slug", help_text="tier: which tier it lends.")

    def get_offer(self, coupon: Coupon) -> str:
        """In words."""
        return offer_of(coupon)


class OfferSerializer(_Effect):
    """A code that the caller may redeem now."""

    valid = serializers.SerializerMethodField()
    ends_at = serializers.DateTimeField(allow_null=True, help_text="It must be redeemed before.")

    def get_valid(self, _coupon: Coupon) -> bool:
        """A code that is not valid is answered with a refusal."""
        return True


class CouponSerializer(_Effect):
    """A coupon as operators see it."""

    id = serializers.UUIDField()
    mode = serializers.CharField(help_text="Whose organizations may redeem it: live or test ones.")
    state = serializers.SerializerMethodField()
    uses = serializers.IntegerField()
    max_uses = serializers.IntegerField(allow_null=True)
    max_uses_per_organization = serializers.IntegerField(allow_null=True)
    starts_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    tiers = serializers.ListField(child=serializers.CharField(), help_text="Only organizations on these; empty: all.")
    first_purchase_only = serializers.BooleanField()
    partner = serializers.CharField()
    note = serializers.CharField()
    batch_id = serializers.UUIDField(allow_null=True)
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    deactivated_at = serializers.DateTimeField(allow_null=True)

    def get_state(self, coupon: Coupon) -> State:
        """Where it stands now."""
        return coupon.state_at(timezone.now())


class RedemptionSerializer(serializers.Serializer):
    """What a redemption gave."""

    id = serializers.UUIDField()
    code = serializers.CharField(source="coupon.code")
    type = serializers.ChoiceField(choices=Kind.choices, source="coupon.kind")
    offer = serializers.SerializerMethodField(help_text="What it gave, in words.")
    credits = AmountField(help_text="USD of bonus credit added; 0 for other types.")
    credit_expires_at = serializers.DateTimeField(allow_null=True)
    percent = PercentField(source="coupon.percent", allow_null=True)
    applies_to = serializers.CharField(source="coupon.applies_to")
    periods = serializers.IntegerField(source="coupon.periods", allow_null=True)
    tier = serializers.CharField(source="coupon.tier_slug")
    entry_id = serializers.UUIDField(allow_null=True, help_text="The ledger entry of the credit.")
    discount_id = serializers.UUIDField(allow_null=True, help_text="The discount on payments to come.")
    redeemed_at = serializers.DateTimeField()

    def get_offer(self, redemption: Any) -> str:
        """In words."""
        return offer_of(redemption.coupon)


class CodeSerializer(StrictSerializer):
    """A code as it was typed; whether it can be one is not told apart from whether it exists."""

    code = serializers.CharField(max_length=10_000, trim_whitespace=False, help_text="In any case.")


class _TermsSerializer(StrictSerializer):
    type = serializers.ChoiceField(choices=Kind.choices)
    amount = AmountField(required=False, help_text="bonus: USD of credit.")
    credit_days = serializers.IntegerField(
        required=False, allow_null=True, help_text="bonus: days until the credit expires; without: never."
    )
    percent = PercentField(required=False, help_text="percent: more than 0, at most 100, two decimal places.")
    applies_to = serializers.ChoiceField(choices=AppliesTo.choices, required=False, help_text="percent: default any.")
    periods = serializers.IntegerField(
        required=False,
        allow_null=True,
        help_text="free_period, tier: months, default 1. percent: payments; without: every payment.",
    )
    tier = serializers.CharField(required=False, max_length=40, help_text="tier: which tier it lends.")
    max_uses = serializers.IntegerField(required=False, allow_null=True, help_text="In all; without: no limit.")
    max_uses_per_organization = serializers.IntegerField(
        required=False, allow_null=True, help_text="Default 1; null: no limit. Of a batch: over all its codes."
    )
    starts_at = serializers.DateTimeField(required=False, allow_null=True)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    tiers = serializers.ListField(
        child=serializers.CharField(max_length=40), required=False, max_length=50, help_text="Only these; empty: all."
    )
    first_purchase_only = serializers.BooleanField(
        required=False, help_text="Only for organizations that have bought nothing yet."
    )
    partner = serializers.CharField(required=False, max_length=80, allow_blank=True)
    note = serializers.CharField(required=False, max_length=200, allow_blank=True, help_text="For operators.")

    def terms(self) -> Terms:
        """The valid body as terms; whether they fit together is checked by the services."""
        data = {name: value for name, value in self.validated_data.items() if name not in ("code", "prefix", "count")}
        data["kind"] = data.pop("type")
        if "tier" in data:
            data["tier_slug"] = data.pop("tier")
        limits = {name: data.pop(name) for name in _LIMITS if name in data}
        if "tiers" in limits:
            limits["tiers"] = tuple(dict.fromkeys(limits["tiers"]))
        return Terms(**{**_DEFAULTS[data["kind"]], **data}, limits=Limits(**limits))


class CreateCouponSerializer(_TermsSerializer):
    """A new coupon."""

    code = serializers.CharField(required=False, max_length=100, help_text="Without one, an unguessable code is drawn.")


class GenerateCouponsSerializer(_TermsSerializer):
    """Many new coupons on the same terms."""

    prefix = serializers.CharField(required=False, allow_blank=True, default="", max_length=100)
    count = serializers.IntegerField(help_text=f"1 to {LARGEST_BATCH}.")


class BatchSerializer(serializers.Serializer):
    """Codes that were generated together."""

    id = serializers.UUIDField()
    prefix = serializers.CharField()
    size = serializers.IntegerField()
    codes = serializers.SerializerMethodField()

    def get_codes(self, batch: Any) -> list[str]:
        """All of them."""
        return list(batch.coupons.order_by("code").values_list("code", flat=True))

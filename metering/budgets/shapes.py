"""JSON shapes of budgets."""

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from core.serializers import AmountField, PlainDecimalField, StrictSerializer
from metering.budgets.models import Enforcement, Period, Scope
from metering.budgets.state import EXCEEDED, OK, PENDING, WARNING, BudgetState
from metering.budgets.subjects import text_of
from metering.services.budgets import DEFAULT_THRESHOLDS, MOST_THRESHOLDS

_SUBJECT = (
    "Whose usage counts: nothing for the organization; the id of a team (or department), member or API key; a model, "
    "or `author/*`; a tag as `name=value`."
)
_MAX_PROMPT = "Calls through the gateway with a longer prompt are refused, whatever is left. Null: no limit."
_THRESHOLDS = f"Per cent of the amount at which people are told, once in each window; up to {MOST_THRESHOLDS}."


class ThresholdField(PlainDecimalField):
    """Per cent, as a decimal string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=6, decimal_places=2, **kwargs)

    def to_representation(self, value: Any) -> str:
        """Without trailing zeros."""
        return f"{Decimal(value).normalize():f}"


def _thresholds(**kwargs: Any) -> serializers.ListField:
    return serializers.ListField(
        child=ThresholdField(), allow_empty=True, max_length=MOST_THRESHOLDS, help_text=_THRESHOLDS, **kwargs
    )


class BudgetRequestSerializer(StrictSerializer):
    """A budget to be made."""

    name = serializers.CharField(max_length=80)
    scope = serializers.ChoiceField(choices=Scope.choices, default=Scope.ORGANIZATION)
    subject = serializers.CharField(max_length=250, allow_blank=True, default="", help_text=_SUBJECT)
    period = serializers.ChoiceField(
        choices=Period.choices, help_text="In the organization's zone; weeks begin on Monday."
    )
    amount = AmountField(help_text="USD in each window.")
    thresholds = _thresholds(default=lambda: list(DEFAULT_THRESHOLDS))
    enforcement = serializers.ChoiceField(
        choices=Enforcement.choices,
        default=Enforcement.ALERT,
        help_text="`alert` only tells; `block` refuses calls that might not fit.",
    )
    max_prompt_tokens = serializers.IntegerField(
        allow_null=True, default=None, min_value=1, max_value=100_000_000, help_text=_MAX_PROMPT
    )
    starts_at = serializers.DateTimeField(
        required=False, help_text="Of a total alone: usage from then on counts. By default from now on."
    )


class BudgetChangeSerializer(StrictSerializer):
    """What is to change; the rest stays."""

    name = serializers.CharField(max_length=80, required=False)
    period = serializers.ChoiceField(choices=Period.choices, required=False)
    amount = AmountField(required=False)
    thresholds = _thresholds(required=False)
    enforcement = serializers.ChoiceField(choices=Enforcement.choices, required=False)
    max_prompt_tokens = serializers.IntegerField(
        allow_null=True, required=False, min_value=1, max_value=100_000_000, help_text=_MAX_PROMPT
    )


class BudgetListQuerySerializer(StrictSerializer):
    """Which of them."""

    scope = serializers.ChoiceField(choices=Scope.choices, required=False)
    period = serializers.ChoiceField(choices=Period.choices, required=False)
    enforcement = serializers.ChoiceField(choices=Enforcement.choices, required=False)


class BudgetForecastSerializer(serializers.Serializer):
    """How the window ends at the pace of the last seven days."""

    daily = AmountField(help_text="USD a day, the mean of the last seven.")
    runs_out_at = serializers.DateTimeField(
        allow_null=True, help_text="When nothing is left; null if it lasts the window (or a year)."
    )
    at_end = AmountField(allow_null=True, help_text="What will be spent when the window ends; null for a total.")


class BudgetWindowSerializer(serializers.Serializer):
    """What counted in one window, USD."""

    starts_at = serializers.DateTimeField()
    resets_at = serializers.DateTimeField(
        source="ends_at", allow_null=True, help_text="When the next one begins; null: never."
    )
    amount = AmountField(source="ceiling")
    spent = AmountField()
    held = AmountField(help_text="Reserved by calls that are running.")
    told = serializers.ListField(child=ThresholdField(), help_text="Thresholds that people have been told of.")
    exceeded_at = serializers.DateTimeField(allow_null=True, help_text="When more than the amount was spent.")
    blocked_at = serializers.DateTimeField(allow_null=True, help_text="When the first call was refused.")


class BudgetStateSerializer(serializers.Serializer):
    """The window that now falls in, USD."""

    status = serializers.CharField(
        help_text=f"`{OK}`, `{WARNING}` from the first threshold, `{EXCEEDED}` when all is spent, `{PENDING}` before "
        "it begins."
    )
    starts_at = serializers.DateTimeField()
    resets_at = serializers.DateTimeField(allow_null=True, help_text="When the next window begins; null: never.")
    spent = AmountField()
    held = AmountField(help_text="Reserved by calls that are running.")
    remaining = AmountField(help_text="What a new call may take.")
    percent = ThresholdField(help_text="How much of the amount is spent, rounded down.")
    told = serializers.ListField(child=ThresholdField(), help_text="Thresholds that people have been told of.")
    exceeded_at = serializers.DateTimeField(allow_null=True)
    blocked_at = serializers.DateTimeField(allow_null=True)
    forecast = BudgetForecastSerializer(source="outlook")


class BudgetSerializer(serializers.Serializer):
    """A budget and how it stands."""

    id = serializers.UUIDField(source="budget.id")
    name = serializers.CharField(source="budget.name")
    scope = serializers.ChoiceField(choices=Scope.choices, source="budget.scope")
    subject = serializers.SerializerMethodField(help_text=_SUBJECT)
    subject_name = serializers.CharField(help_text="The same for people; empty for the organization.")
    period = serializers.ChoiceField(choices=Period.choices, source="budget.period")
    amount = AmountField()
    thresholds = serializers.ListField(child=ThresholdField(), source="budget.thresholds", help_text=_THRESHOLDS)
    enforcement = serializers.ChoiceField(choices=Enforcement.choices, source="budget.enforcement")
    max_prompt_tokens = serializers.IntegerField(allow_null=True, source="budget.max_prompt_tokens")
    created_at = serializers.DateTimeField(source="budget.created_at")
    modified_at = serializers.DateTimeField(source="budget.modified_at")
    state = BudgetStateSerializer(source="*")

    def get_subject(self, state: BudgetState) -> str:
        """As it was given."""
        return text_of(state.budget)


@extend_schema_serializer(many=False)
class BudgetListSerializer(serializers.Serializer):
    """All of them."""

    data = BudgetSerializer(many=True)  # type: ignore[assignment]


class BudgetWindowListSerializer(serializers.Serializer):
    """Windows, newest first."""

    data = BudgetWindowSerializer(many=True)  # type: ignore[assignment]


BUDGET_EXAMPLE = OpenApiExample(
    "Search may cost 50 USD a month",
    value={
        "name": "Search",
        "scope": "tag",
        "subject": "feature=search",
        "period": "monthly",
        "amount": "50",
        "thresholds": ["75", "90", "100"],
        "enforcement": "block",
        "max_prompt_tokens": 8000,
    },
    request_only=True,
)
CHANGE_EXAMPLE = OpenApiExample("Raise it", value={"amount": "80", "thresholds": ["50", "100"]}, request_only=True)

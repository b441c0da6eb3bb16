"""JSON shapes of what-ifs."""

from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema_field
from rest_framework import serializers

from advice.models import RunStatus, WhatIfRun
from advice.what_if.change import MONTHLY, WINDOWS, Change
from core.serializers import AmountField, PlainDecimalField, StrictSerializer
from metering.ranges import RangeSerializer

_MOST_PERCENT = Decimal(1_000)


class BudgetSerializer(StrictSerializer):
    """A budget that blocks, as if it had stood there: it begins again with each window of your time zone."""

    amount = AmountField(allow_zero=True, help_text="USD in each window, own provider key included.")
    window = serializers.ChoiceField(choices=WINDOWS, default=MONTHLY)


class ChangeSerializer(StrictSerializer):
    """What is imagined to be different. Name at least one; what is not named stays as it was."""

    tier = serializers.CharField(required=False, max_length=40, help_text="A tier's slug: its markup and its models.")
    option = serializers.CharField(required=False, max_length=20, help_text="Of the tier: `managed` or `byok`.")
    markup_percent = PlainDecimalField(
        required=False,
        max_digits=10,
        decimal_places=4,
        min_value=Decimal(0),
        max_value=_MOST_PERCENT,
        help_text="On paid calls, in place of the tier's markup and fees.",
    )
    model = serializers.CharField(required=False, max_length=160, help_text="This model answers every call.")
    prices_at = serializers.DateTimeField(required=False, help_text="The price book as of then, for every event.")
    pricing = serializers.DictField(
        required=False, help_text="A price list like `pricing` of a model, in place of the models' own."
    )
    is_byok = serializers.BooleanField(
        required=False, help_text="True: your own OpenRouter key pays every call. False: your credit does."
    )
    budget = BudgetSerializer(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """With ``change`` alone."""
        budget = attrs.pop("budget", None)
        if budget is not None:
            attrs |= {"cap": budget["amount"], "window": budget["window"]}
        return {"change": Change(**attrs)}


class WhatIfRequestSerializer(RangeSerializer):
    """Which recorded usage to replay (the last 30 days unless said otherwise), and with which change."""

    change = ChangeSerializer()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The span, the filter and the change."""
        change = attrs.pop("change")["change"]
        return {**super().validate(attrs), "change": change}


class _FiguresSerializer(serializers.Serializer):
    events = serializers.IntegerField()
    provider_cost = AmountField(help_text="What the providers bill us, USD.")
    markup = AmountField()
    charge = AmountField(help_text="What your credit pays, USD.")
    byok_cost = AmountField(help_text="What your own provider key pays, USD.")
    metered = AmountField(help_text="What the meters of the tier take beside the charge, USD.")
    spend = AmountField(help_text="Charge, meters and own key together.")


class _PairSerializer(serializers.Serializer):
    recorded = _FiguresSerializer()
    replayed = _FiguresSerializer(help_text="Without the events that would not have been made.")
    difference = _FiguresSerializer(help_text="Replayed less recorded.")


class _LostSerializer(serializers.Serializer):
    events = serializers.IntegerField()
    amount = AmountField(help_text="What they would have cost you, USD.")
    first_at = serializers.DateTimeField(allow_null=True)


class _StoppedSerializer(_LostSerializer):
    windows = serializers.IntegerField(help_text="Days, weeks or months in which the budget stopped something.")


class _ModelPairSerializer(_PairSerializer):
    model = serializers.CharField()
    replayed_model = serializers.CharField()


class _DayPairSerializer(_PairSerializer):
    day = serializers.DateField()


class WhatIfResultSerializer(_PairSerializer):
    """The same usage as it was and as it would have been."""

    stopped = _StoppedSerializer(help_text="Calls that the budget would have stopped.")
    refused = _LostSerializer(help_text="Calls of models that the tier does not include.")
    unpriced = _LostSerializer(help_text="Events for which no price is known: they stand as they were.")
    by_model = _ModelPairSerializer(many=True)
    by_day = _DayPairSerializer(many=True)


class WhatIfSerializer(serializers.ModelSerializer):
    """A what-if: what was asked, how far it is, and the answer."""

    status = serializers.ChoiceField(choices=RunStatus.choices)
    to = serializers.DateTimeField(source="ends_at")
    only = serializers.JSONField(help_text="Which events, by their columns; empty: all.")
    change = serializers.SerializerMethodField()
    progress = serializers.IntegerField(help_text="Per cent.")
    result = WhatIfResultSerializer(allow_null=True, help_text="Once the status is `done`.")

    class Meta:
        model = WhatIfRun
        fields = [
            "id",
            "status",
            "to",
            "only",
            "change",
            "progress",
            "events_expected",
            "events_done",
            "result",
            "error",
            "requested_by",
            "created_at",
            "finished_at",
        ]

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a Python keyword, so it is added here."""
        fields = super().get_fields()
        return {"id": fields.pop("id"), "from": serializers.DateTimeField(source="starts_at"), **fields}

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_change(self, run: WhatIfRun) -> dict[str, Any]:
        """The change as it was asked."""
        change = dict(run.change)
        cap, window = change.pop("cap", None), change.pop("window", None)
        return change if cap is None else {**change, "budget": {"amount": cap, "window": window}}

    def to_representation(self, run: WhatIfRun) -> dict[str, Any]:
        """The result is kept as it leaves."""
        kept, run.result = run.result, None
        data = super().to_representation(run)
        run.result = data["result"] = kept
        return data


class WhatIfLineSerializer(WhatIfSerializer):
    """A what-if in a list, without its answer."""

    result = None  # type: ignore[assignment]

    class Meta(WhatIfSerializer.Meta):
        fields = [name for name in WhatIfSerializer.Meta.fields if name != "result"]

    def to_representation(self, run: WhatIfRun) -> dict[str, Any]:
        """As the fields say."""
        return serializers.ModelSerializer.to_representation(self, run)


REQUEST_EXAMPLE = OpenApiExample(
    "Another model under a budget",
    {
        "from": "2026-03-01",
        "to": "2026-03-31",
        "model": "openai/gpt-4o",
        "change": {"model": "openai/gpt-4o-mini", "budget": {"amount": "50", "window": "monthly"}},
    },
    request_only=True,
)

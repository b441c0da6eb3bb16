"""JSON shapes of estimates."""

from rest_framework import serializers

from core.serializers import AmountField, StrictSerializer
from metering.estimates.accuracy import DAYS, LONGEST
from metering.estimates.answers import ASSUMED, GIVEN, HISTORY, MODEL, NONE
from metering.estimates.calibration import LEARNED, RATIO, VOCABULARY
from metering.estimates.content import CLASSES
from metering.estimates.estimating import BASIC, FULL
from metering.sizing import CHAT, EMBEDDING, SPEECH

DETAILS = [BASIC, FULL]
_LONGEST_ANSWER = 2_000_000


class EstimateQuerySerializer(StrictSerializer):
    """What the request's body cannot say."""

    kind = serializers.ChoiceField(
        choices=[CHAT, EMBEDDING, SPEECH],
        default=CHAT,
        help_text="Which route the body is for: `chat` (also text completions), `embedding` or `speech`.",
    )
    detail = serializers.ChoiceField(
        choices=DETAILS,
        required=False,
        help_text="`full`: with each line of the cost and cheaper models. As much as the tier includes unless named.",
    )
    expected_tokens = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=_LONGEST_ANSWER,
        help_text="The answer's length in tokens as you expect it; otherwise that of your own recent calls.",
    )


class _PromptTokensSerializer(serializers.Serializer):
    low = serializers.IntegerField(
        help_text="Below this once in twenty times: 9 of 10 prompts lie between this and p95."
    )
    likely = serializers.IntegerField()
    p95 = serializers.IntegerField(help_text="Exceeded once in twenty times.")
    worst = serializers.IntegerField(help_text="What the hold is sized for.")
    basis = serializers.ChoiceField(
        choices=[VOCABULARY, LEARNED, RATIO],
        help_text="Counted with the model's own vocabulary; or with another, corrected by what was `learned` from "
        "recorded calls, or by a usual `ratio` where there were too few.",
    )
    vocabulary = serializers.CharField()
    content = serializers.ChoiceField(choices=CLASSES, help_text="What most of the text is; the ratio depends on it.")
    calls = serializers.IntegerField(help_text="From how many recorded calls of the model this was learned.")


class _AnswerTokensSerializer(serializers.Serializer):
    likely = serializers.IntegerField(help_text="The median.")
    p95 = serializers.IntegerField(help_text="Exceeded once in twenty times.")
    worst = serializers.IntegerField(help_text="Of all answers asked for.")
    basis = serializers.ChoiceField(
        choices=[GIVEN, HISTORY, MODEL, ASSUMED, NONE],
        help_text="`given` by you, from your `history` with the model, from everybody's answers of the `model`, "
        "`assumed`, or `none` (no answer in tokens).",
    )
    calls = serializers.IntegerField(help_text="From how many answers; old ones count less.")


class EstimateLineSerializer(serializers.Serializer):
    """One class of the provider's cost: quantity times price."""

    price_class = serializers.CharField()
    quantity = serializers.CharField()
    unit_price = AmountField()
    amount = AmountField()


class EstimatedCostSerializer(serializers.Serializer):
    """USD; with your own provider key the charge is what your tier's meters take alone."""

    provider_cost = AmountField()
    markup = AmountField()
    metered = AmountField(help_text="What the meters of your tier take from credit for it, part of the charge.")
    charge = AmountField()
    lines = EstimateLineSerializer(many=True)


class _WorstCaseSerializer(serializers.Serializer):
    charge = AmountField(help_text="What is set aside while the call runs. The real charge is never more.")


class _CostsSerializer(serializers.Serializer):
    likely = EstimatedCostSerializer()
    p95 = EstimatedCostSerializer()
    worst = _WorstCaseSerializer()


class _WalletSerializer(serializers.Serializer):
    available = AmountField(help_text="USD now, holds taken off.")
    after_likely = AmountField()
    after_worst = AmountField()
    covers_worst_case = serializers.BooleanField()
    affordable_tokens = serializers.IntegerField(
        allow_null=True,
        help_text="The longest answer that the wallet can pay. Null: not even the prompt, or no answer in tokens.",
    )


class BudgetRoomSerializer(serializers.Serializer):
    """A budget that the call would count for, USD."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    scope = serializers.CharField()
    period = serializers.CharField()
    blocks = serializers.BooleanField(help_text="Whether it refuses a call whose worst case does not fit.")
    amount = AmountField()
    remaining = AmountField(help_text="Neither spent nor held now.")
    after_likely = AmountField()
    after_worst = AmountField()
    covers_worst_case = serializers.BooleanField()
    resets_at = serializers.DateTimeField(allow_null=True, help_text="Null: never.")


class AlternativeSerializer(serializers.Serializer):
    """A cheaper model that can serve the same request."""

    model = serializers.CharField(source="model.id")
    name = serializers.CharField(source="model.name")
    charge = AmountField(help_text="The likely charge with it.")
    saving = AmountField(help_text="USD less than with the model asked for.")
    is_free = serializers.BooleanField()


class EstimateSerializer(serializers.Serializer):
    """What the call would cost."""

    model = serializers.CharField()
    name = serializers.CharField()
    price_id = serializers.UUIDField()
    tier = serializers.CharField()
    detail = serializers.ChoiceField(
        choices=DETAILS, help_text="With `basic`, `lines` and `alternatives` are empty: `token_preview` of the tier."
    )
    is_free = serializers.BooleanField()
    uses_own_key = serializers.BooleanField(help_text="Your own OpenRouter key pays: no credits are spent.")
    prompt_tokens = _PromptTokensSerializer()
    answer_tokens = _AnswerTokensSerializer()
    cost = _CostsSerializer()
    wallet = _WalletSerializer()
    budgets = BudgetRoomSerializer(many=True)
    alternatives = AlternativeSerializer(many=True)


class AccuracyQuerySerializer(StrictSerializer):
    """Which days."""

    days = serializers.IntegerField(default=DAYS, min_value=1, max_value=LONGEST, help_text="Up to today (UTC).")


class ShareSerializer(serializers.Serializer):
    """How often something held."""

    measured = serializers.IntegerField(help_text="Calls.")
    inside = serializers.IntegerField(help_text="Of them, where it held.")
    stated = serializers.FloatField(help_text="The share that was stated.")
    share = serializers.FloatField(allow_null=True, help_text="The share that was found; null without calls.")
    low = serializers.FloatField(allow_null=True, help_text="With `high`: where the true share lies 19 times in 20.")
    high = serializers.FloatField(allow_null=True)


class AccuracyRowSerializer(serializers.Serializer):
    """How good estimates were."""

    prompt = ShareSerializer(help_text="Prompts between `low` and `p95`.")
    answer = ShareSerializer(help_text="Answers of at most `p95`.")
    charge = ShareSerializer(help_text="Charges of at most the estimate's `cost.p95.charge`.")
    mean_error = serializers.FloatField(
        allow_null=True, help_text="How far the likely prompt was from the billed one, as a share of it."
    )
    beyond_hold = serializers.IntegerField(help_text="Prompts longer than their hold was sized for.")


class ModelAccuracySerializer(AccuracyRowSerializer):
    """How good estimates of one model were."""

    model = serializers.CharField()
    name = serializers.CharField()
    basis = serializers.ChoiceField(choices=[VOCABULARY, LEARNED, RATIO], help_text="How its prompts are counted now.")
    learned_from = serializers.IntegerField(help_text="Recorded calls, of all customers.")


class AccuracySerializer(serializers.Serializer):
    """How good estimates of your calls were."""

    to = serializers.DateField(source="last", help_text="Included; days of UTC.")
    total = AccuracyRowSerializer()
    data = ModelAccuracySerializer(source="models", many=True)  # type: ignore[assignment]

    def get_fields(self) -> dict[str, serializers.Field]:
        """``from`` is a Python keyword, so it is added here."""
        return {"from": serializers.DateField(source="first"), **super().get_fields()}

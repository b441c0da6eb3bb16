"""The price book, the one event table, and its rollups."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeBoundary, RangeOperators
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Func, Q
from django.utils import timezone

from accounts.models import Organization
from core.amounts import full
from core.ids import uuid7
from core.money import MoneyField
from metering.querysets import LanguageModelQuerySet, ModelPriceQuerySet


class LanguageModel(models.Model):
    """A model of the catalogue, by its OpenRouter id (``vendor/model``)."""

    id = models.CharField(primary_key=True, max_length=120)
    canonical_slug = models.CharField(max_length=160, blank=True)
    name = models.CharField(max_length=160)
    context_length = models.PositiveIntegerField(null=True)
    max_completion_tokens = models.PositiveIntegerField(null=True)
    input_modalities = models.JSONField(default=list)
    output_modalities = models.JSONField(default=list)
    supported_parameters = models.JSONField(default=list)
    tokenizer = models.CharField(max_length=40, blank=True)
    details = models.JSONField(default=dict)  # the provider's record, without pricing
    source = models.CharField(max_length=40)
    first_seen_at = models.DateTimeField(default=timezone.now)
    last_seen_at = models.DateTimeField(default=timezone.now)
    vanished_at = models.DateTimeField(null=True)  # no longer in the provider's list

    objects = LanguageModelQuerySet.as_manager()
    price_now: "ModelPrice | None" = None  # set by ``with_price``

    class Meta:
        indexes = [models.Index(fields=["canonical_slug"], name="model_canonical")]  # answers may name this slug

    def __str__(self) -> str:
        return self.id


class _Period(Func):
    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class ModelPrice(models.Model):
    """What a model costs from one instant to another. Never edited: a change closes the row and opens the next."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    model = models.ForeignKey(LanguageModel, models.PROTECT, related_name="prices")
    pricing = models.JSONField()  # the provider's price classes, USD as decimal strings, "-1" depends on the route
    is_free = models.BooleanField(default=False)
    effective_from = models.DateTimeField()
    effective_to = models.DateTimeField(null=True, blank=True)
    source = models.CharField(max_length=60)  # "openrouter", "genai-prices 0.2.3", "operator"
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = ModelPriceQuerySet.as_manager()

    class Meta:
        constraints = [
            ExclusionConstraint(
                name="price_periods_do_not_overlap",
                expressions=[
                    (_Period("effective_from", "effective_to", RangeBoundary()), RangeOperators.OVERLAPS),
                    ("model", RangeOperators.EQUAL),
                ],
            ),
            models.CheckConstraint(
                condition=Q(effective_to__isnull=True) | Q(effective_to__gte=F("effective_from")),
                name="price_ends_later",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_id} from {self.effective_from:%Y-%m-%d}"


class Kind(models.TextChoices):
    """What was used."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    TTS = "tts"
    SEARCH = "search"
    AGENT = "agent"
    CUSTOM = "custom"


class UsageEvent(models.Model):
    """One use of anything. Partitioned by month of ``occurred_at``; written by ``record_usage`` alone.

    Token classes are inclusive: cached and cache-write tokens are inside ``prompt_tokens``, reasoning inside
    ``completion_tokens``. ``charge`` = ``provider_cost`` (0 for BYOK) + ``markup``, in USD.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.DO_NOTHING, related_name="usage_events", db_constraint=False)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=Kind)
    name = models.CharField(max_length=128, blank=True)
    source = models.CharField(max_length=10)  # gateway, api, otel, import
    external_id = models.CharField(max_length=255, null=True)  # noqa: DJ001  (absent differs from empty)
    member_id = models.UUIDField(null=True)
    api_key_id = models.UUIDField(null=True)
    model = models.CharField(max_length=160, blank=True)
    provider = models.CharField(max_length=80, blank=True)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    quantity = models.DecimalField(max_digits=24, decimal_places=6, default=0)  # characters, seconds, searches, …
    provider_cost = MoneyField(default=0)
    markup = MoneyField(default=0)
    charge = MoneyField(default=0)
    byok_cost = MoneyField(default=0)  # what the customer's own provider bills; costs no credit
    is_free = models.BooleanField(default=False)
    is_byok = models.BooleanField(default=False)
    cost_source = models.CharField(max_length=10)  # provider, computed, estimated, caller, none
    price_id = models.UUIDField(null=True)
    tier_slug = models.CharField(max_length=40, blank=True)
    generation_id = models.CharField(max_length=80, blank=True)
    hold_id = models.UUIDField(null=True)
    entry_id = models.UUIDField(null=True)
    status = models.CharField(max_length=10)  # ok, error, cancelled, partial
    latency_ms = models.PositiveIntegerField(null=True)
    tags = models.JSONField(default=dict)
    metadata = models.JSONField(default=dict)
    derivation = models.JSONField(default=dict)  # how the charge came about; enough to compute it again
    corrects_id = models.UUIDField(null=True)  # the voided event that this one replaces
    voided_at = models.DateTimeField(null=True)  # counts no longer; its charge was reversed
    # Whose use it was among the organization's own customers, by our id or by the organization's, as it was reported;
    # and the event it is part of, by our id or by the organization's, perhaps not known yet.
    customer_id = models.UUIDField(null=True)
    external_customer_id = models.CharField(max_length=255, null=True)  # noqa: DJ001  (absent differs from empty)
    parent_id = models.CharField(max_length=255, null=True)  # noqa: DJ001
    team_id = models.UUIDField(null=True)  # that the key, else the member, was in when it occurred

    class Meta:
        managed = True
        db_table = "metering_usageevent"
        ordering = ["-occurred_at", "-id"]
        indexes = [
            # what was received lately, of everybody: a few pages for any number of events
            BrinIndex(fields=["received_at"], name="usage_event_received", pages_per_range=32, autosummarize=True),
            # a customer's usage of a period; events of nobody's customer are in neither
            models.Index(
                fields=["organization", "external_customer_id", "received_at"],
                name="usage_event_by_ext_customer",
                condition=Q(external_customer_id__isnull=False),
            ),
            models.Index(
                fields=["organization", "customer_id", "received_at"],
                name="usage_event_by_customer",
                condition=Q(customer_id__isnull=False),
            ),
            # an event's children
            models.Index(
                fields=["organization", "parent_id"],
                name="usage_event_by_parent",
                condition=Q(parent_id__isnull=False),
            ),
            # what did not succeed, newest first; events that did cost this index nothing
            models.Index(
                fields=["organization", "-occurred_at", "-id"], name="usage_event_not_ok", condition=~Q(status="ok")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.model or self.name} {full(self.charge)}"


class UsageKey(models.Model):
    """A caller's event id, unique per organization for ever; narrow, since a partitioned table cannot hold it."""

    pk = models.CompositePrimaryKey("organization_id", "external_id")
    # no database constraint: checking one would lock the organization's row for every event
    organization = models.ForeignKey(
        Organization, models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    external_id = models.CharField(max_length=255)
    event_id = models.UUIDField()
    occurred_at = models.DateTimeField()  # finds the event's partition
    content_hash = models.UUIDField()  # 128 bits; tells a repeated event from another one under the same id

    def __str__(self) -> str:
        return self.external_id


class UsageCutoff(models.Model):
    """The last cut between periods of an organization's customers: what is recorded now was received after it."""

    organization = models.OneToOneField(Organization, models.CASCADE, primary_key=True, related_name="+")
    not_before = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.organization_id} from {self.not_before:%Y-%m-%d %H:%M:%S}"


class UsageCorrection(models.Model):
    """An event was taken back, and perhaps replaced; its charge was reversed in the same transaction."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="usage_corrections")
    event_id = models.UUIDField()
    occurred_at = models.DateTimeField()  # finds the event's partition
    replacement_id = models.UUIDField(null=True)
    entry_id = models.UUIDField(null=True)  # the reversal; null when nothing had been charged
    content_hash = models.UUIDField(null=True)  # of the replacement, to tell a repeated request from another
    reason = models.CharField(max_length=300)
    actor = models.CharField(max_length=120)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "event_id"], name="event_corrected_once"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} {'replaced' if self.replacement_id else 'voided'}"


class SumsBase(models.Model):
    """Additive sums of an organization's events; rebuilt from the events at any time."""

    id = models.BigAutoField(primary_key=True)
    # no index of its own: the unique key begins with it
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+", db_index=False)
    events = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    completion_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    quantity = models.DecimalField(max_digits=30, decimal_places=6, default=0)
    provider_cost = MoneyField(default=0)
    markup = MoneyField(default=0)
    charge = MoneyField(default=0)
    byok_cost = MoneyField(default=0)
    latency_ms = models.BigIntegerField(default=0)
    latency_count = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class RollupBase(SumsBase):
    """Sums of events by their dimensions."""

    member_id = models.UUIDField(null=True)
    api_key_id = models.UUIDField(null=True)
    team_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=128, blank=True)
    model = models.CharField(max_length=160, blank=True)
    is_free = models.BooleanField(default=False)
    is_byok = models.BooleanField(default=False)

    class Meta:
        abstract = True


_DIMENSIONS = ["member_id", "api_key_id", "team_id", "kind", "name", "model", "is_free", "is_byok"]


class UsageHour(RollupBase):
    """Hourly sums (UTC hours; pages regroup them into the organization's days)."""

    hour = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "hour", *_DIMENSIONS], name="usage_hour_of_team_once", nulls_distinct=False
            ),
        ]


class UsageDay(RollupBase):
    """Daily sums (UTC days), for operators' pages over many organizations and long ranges."""

    day = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "day", *_DIMENSIONS], name="usage_day_of_team_once", nulls_distinct=False
            ),
        ]
        # operators: everybody's last days. A row keeps its day, so counting on costs this index nothing.
        indexes = [models.Index(fields=["day"], name="usage_day_of_all")]


class UsageTagDay(RollupBase):
    """Daily sums (UTC days) by one tag (``prompt_id=welcome``); an event counts once under each of its tags.

    Rows without a kind were written before sums by tag had dimensions: a task gives them theirs.
    """

    day = models.DateField()
    tag_key = models.CharField(max_length=40)
    tag_value = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "day", "tag_key", "tag_value", *_DIMENSIONS],
                name="usage_tag_day_of_all_once",
                nulls_distinct=False,
            ),
        ]
        indexes = [models.Index(fields=["day"], condition=Q(kind=""), name="usage_tag_day_incomplete")]

    def __str__(self) -> str:
        return f"{self.tag_key}={self.tag_value} on {self.day}"


EVERY_HOUR = (1 << 24) - 1


class UsageTagTotal(SumsBase):
    """Daily sums (UTC days) by one tag alone: one row where ``UsageTagDay`` has one for each key and model.

    ``hours`` has a bit for each hour (UTC) of the day, the lowest for the first: the events lie in none but those.
    """

    day = models.DateField()
    tag_key = models.CharField(max_length=40)
    tag_value = models.CharField(max_length=200)
    hours = models.IntegerField(default=EVERY_HOUR)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "day", "tag_key", "tag_value"], name="usage_tag_total_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.tag_key}={self.tag_value} on {self.day}"


# Django looks for an app's models here.
from metering.budgets.models import Budget  # noqa: E402, F401
from metering.estimates.models import AnswerLength, EstimateAccuracy, LearningMark, TokenCalibration  # noqa: E402, F401
from metering.metered.models import MeteredCharge, MeteredCounter  # noqa: E402, F401
from metering.meters.models import Meter  # noqa: E402, F401
from metering.rerating.models import ReratedEvent, Rerating  # noqa: E402, F401

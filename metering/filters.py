"""Filters of the list of events."""

from typing import Any

import django_filters
from django.db.models import QuerySet

from metering.models import Kind, UsageEvent, UsageKey

_STATUSES = [(status, status) for status in ("ok", "error", "cancelled", "partial")]


class EventFilter(django_filters.FilterSet):
    """``?kind=chat&model=…&from=…&to=…&tag=feature:search&external_id=…&voided=false``."""

    kind = django_filters.MultipleChoiceFilter(choices=Kind.choices)
    status = django_filters.MultipleChoiceFilter(choices=_STATUSES)
    from_ = django_filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="gte", label="At or after.")
    to = django_filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="lt", label="Before.")
    tag = django_filters.CharFilter(method="with_tag", label="A tag as key:value, or its key alone.")
    external_id = django_filters.CharFilter(method="with_external_id", label="Your own id of the event.")
    voided = django_filters.BooleanFilter(
        field_name="voided_at", lookup_expr="isnull", exclude=True, label="Whether it was taken back."
    )

    class Meta:
        model = UsageEvent
        fields = [
            "name",
            "model",
            "source",
            "member_id",
            "api_key_id",
            "generation_id",
            "hold_id",
            "is_free",
            "is_byok",
            "customer_id",
            "external_customer_id",
            "parent_id",
        ]

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """``from`` is a Python keyword, so the filter is declared as ``from_``."""
        filters = super().get_filters()
        filters["from"] = filters.pop("from_")
        return filters

    def with_tag(self, events: QuerySet[UsageEvent], _name: str, value: str) -> QuerySet[UsageEvent]:
        """Events that carry the tag."""
        key, colon, wanted = value.partition(":")
        return events.filter(tags__contains={key: wanted}) if colon else events.filter(tags__has_key=key)

    def with_external_id(self, events: QuerySet[UsageEvent], _name: str, value: str) -> QuerySet[UsageEvent]:
        """The event with the caller's id: found by its key, not by reading the events."""
        keys = UsageKey.objects.filter(organization_id=self.request.auth.organization_id, external_id=value)
        found = keys.values_list("event_id", "occurred_at").first()
        return events.none() if found is None else events.filter(id=found[0], occurred_at=found[1])

"""Filters of the ledger's lists."""

import django_filters
from django.db.models import QuerySet

from credits.models import EntryKind, Hold, HoldStatus, LedgerEntry, Lot, LotKind


class EntryFilter(django_filters.FilterSet):
    """``?kind=charge&kind=refund&from=…&to=…&event_id=…&hold_id=…&search=…``."""

    kind = django_filters.MultipleChoiceFilter(choices=EntryKind.choices)
    from_ = django_filters.IsoDateTimeFilter(field_name="posted_at", lookup_expr="gte", label="Posted at or after.")
    to = django_filters.IsoDateTimeFilter(field_name="posted_at", lookup_expr="lt", label="Posted before.")
    search = django_filters.CharFilter(field_name="reason", lookup_expr="icontains", label="Text in the reason.")

    class Meta:
        model = LedgerEntry
        fields = ["event_id", "hold_id"]

    @classmethod
    def get_filters(cls) -> dict:
        """``from`` is a Python keyword, so the filter is declared as ``from_``."""
        filters = super().get_filters()
        filters["from"] = filters.pop("from_")
        return filters


class LotFilter(django_filters.FilterSet):
    """``?kind=bonus&open=true``."""

    kind = django_filters.MultipleChoiceFilter(choices=LotKind.choices)
    open = django_filters.BooleanFilter(method="only_open", label="Only lots with credit left.")

    class Meta:
        model = Lot
        fields: list[str] = []

    def only_open(self, queryset: QuerySet[Lot], _name: str, value: bool) -> QuerySet[Lot]:
        """Lots with credit left."""
        return queryset.filter(remaining__gt=0) if value else queryset


class HoldFilter(django_filters.FilterSet):
    """``?status=open``."""

    status = django_filters.MultipleChoiceFilter(choices=HoldStatus.choices)

    class Meta:
        model = Hold
        fields: list[str] = []

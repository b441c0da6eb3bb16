"""Filters of the list of coupons."""

import django_filters
from django.db.models import QuerySet
from django.utils import timezone

from coupons.models import Coupon, Kind, State


class CouponFilter(django_filters.FilterSet):
    """``?type=bonus&state=active&partner=Acme&batch=…&search=WEL``."""

    type = django_filters.MultipleChoiceFilter(field_name="kind", choices=Kind.choices)
    state = django_filters.ChoiceFilter(choices=State.choices, method="in_state", label="Where they stand now.")
    partner = django_filters.CharFilter(lookup_expr="iexact", label="The partner's name.")
    batch = django_filters.UUIDFilter(field_name="batch_id", label="Generated together.")
    search = django_filters.CharFilter(field_name="code", lookup_expr="istartswith", label="How the code begins.")

    class Meta:
        model = Coupon
        fields: list[str] = []

    def in_state(self, queryset: QuerySet[Coupon], _name: str, value: str) -> QuerySet[Coupon]:
        """Those in the state now."""
        return queryset.in_state(value, timezone.now())  # type: ignore[attr-defined]

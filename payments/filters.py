"""Query parameters of the payments list."""

from django_filters import rest_framework as filters

from payments.models import Payment, Purpose, Status


class PaymentFilter(filters.FilterSet):
    """``?status=&purpose=&since=&until=`` (``until`` excluded)."""

    status = filters.ChoiceFilter(choices=Status.choices)
    purpose = filters.ChoiceFilter(choices=Purpose.choices)
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Payment
        fields = ["status", "purpose"]

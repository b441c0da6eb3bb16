"""Filters of the lists of messages and attempts."""

import django_filters

from outbox.webhooks.models import State, WebhookDelivery, WebhookMessage


class MessageFilter(django_filters.FilterSet):
    """``?endpoint=…&state=missed&type=credits.low``."""

    endpoint = django_filters.UUIDFilter(field_name="endpoint_id", label="To this endpoint.")
    event = django_filters.UUIDFilter(field_name="event_id", label="Of this event.")
    state = django_filters.MultipleChoiceFilter(choices=State.choices)
    type = django_filters.CharFilter(field_name="event__type", label="Of this type.")

    class Meta:
        model = WebhookMessage
        fields: list[str] = []


class DeliveryFilter(django_filters.FilterSet):
    """``?endpoint=…&succeeded=false``."""

    endpoint = django_filters.UUIDFilter(field_name="endpoint_id", label="To this endpoint.")
    message = django_filters.UUIDFilter(field_name="message_id", label="Of this message.")
    event = django_filters.UUIDFilter(field_name="event_id", label="Of this event.")
    succeeded = django_filters.BooleanFilter()

    class Meta:
        model = WebhookDelivery
        fields: list[str] = []

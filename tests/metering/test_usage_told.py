"""A use is told to those who have asked for it, once, however it was recorded; others pay nothing for it."""

from datetime import timedelta

import pytest

from accounts.principal import Actor
from metering.services import record_usage
from outbox.models import DomainEvent, WebhookEvent
from outbox.services import dispatch_events
from outbox.webhooks.services import Wish, create_endpoint
from tests.builders import NOON, make_call, make_funded, make_record

pytestmark = pytest.mark.django_db


def told():
    return DomainEvent.objects.filter(type="usage.recorded")


def test_only_uses_of_organizations_that_asked_are_told_with_what_they_cost():
    asking, other = make_funded("10"), make_funded("10")
    wish = Wish(url="https://example.com/hooks", events=["usage.recorded"])
    create_endpoint(organization_id=asking.id, wish=wish, actor=Actor("test"), at=NOON)
    outcome = make_call(asking, "0.0000123", tags={"feature": "search"})
    make_call(other)
    batch = [make_record(asking, "0.5", external_id=f"e{n}") for n in range(3)] + [make_record(other, "1")]
    record_usage(batch, at=NOON + timedelta(seconds=1))
    record_usage(batch, at=NOON + timedelta(seconds=2))  # duplicates but for the last, which has no id
    assert set(told().values_list("organization_id", flat=True)) == {asking.id}
    assert told().count() == 4
    call = told().get(data__event_id=str(outcome.event_id))
    assert call.data["charge"] == "0.00001353" and call.data["provider_cost"] == "0.0000123"
    assert call.data["occurred_at"] == "2026-03-02T12:00:00.000000Z" and call.data["tags"] == {"feature": "search"}
    assert sorted(event.data["external_id"] or "" for event in told()) == ["", "e0", "e1", "e2"]
    dispatch_events(at=NOON + timedelta(days=1), limit=1000)
    assert WebhookEvent.objects.filter(type="usage.recorded").count() == 4

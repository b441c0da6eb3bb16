"""Sums that were tampered with are found, named and made right."""

from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from metering import tasks
from metering.audit import audit_sums
from metering.models import UsageDay, UsageHour, UsageTagDay, UsageTagTotal
from metering.services import record_usage, void_event
from outbox.models import DomainEvent
from tests.builders import NOON, make_funded, make_record
from tests.metering.sums import counted, stored

pytestmark = pytest.mark.django_db

TODAY = NOON.date()


def test_right_sums_are_found_right():
    organization = make_funded("10")
    outcomes = record_usage([make_record(organization, "1") for _ in range(3)], at=NOON)
    void_event(organization_id=organization.pk, event_id=outcomes[0].event_id, reason="r", actor="t", at=NOON)
    assert audit_sums(first=TODAY - timedelta(days=1), last=TODAY) == []


def test_a_wrong_sum_is_named_with_both_figures():
    organization = make_funded("10")
    record_usage([make_record(organization, "1", prompt_tokens=5)], at=NOON)
    UsageHour.objects.update(charge=Decimal(2))
    [found] = audit_sums(first=TODAY, last=TODAY)
    assert (found.day, found.organization_id, found.table) == (TODAY, organization.pk, "hours")
    assert (found.kept, found.counted) == ((1, Decimal(2), 5), (1, Decimal(1), 5))


@pytest.mark.parametrize(("table", "model"), [("tags", UsageTagDay), ("tag totals", UsageTagTotal)])
def test_sums_by_tag_count_an_event_under_each_of_its_tags(table, model):
    organization = make_funded("10")
    tags = {"team": "blue", "feature": "search"}
    record_usage([make_record(organization, "1", prompt_tokens=5, tags=each) for each in (tags, {})], at=NOON)
    assert audit_sums(first=TODAY, last=TODAY) == []
    model.objects.filter(tag_key="team").delete()
    [found] = audit_sums(first=TODAY, last=TODAY)
    assert (found.table, found.kept, found.counted) == (table, (1, Decimal(1), 5), (2, Decimal(2), 10))


def test_a_missing_and_a_surplus_row_are_found():
    organization = make_funded("10")
    record_usage([make_record(organization)], at=NOON)
    UsageDay.objects.update(day=TODAY + timedelta(days=1))
    found = audit_sums(first=TODAY, last=TODAY + timedelta(days=1))
    assert [(row.day, row.table, row.kept[0], row.counted[0]) for row in found] == [
        (TODAY, "days", 0, 1),
        (TODAY + timedelta(days=1), "days", 1, 0),
    ]


def test_the_command_tells_and_mends():
    record_usage([make_record(make_funded("10"), "1", tags={"a": "b"})], at=NOON)
    UsageHour.objects.update(events=7)
    with pytest.raises(CommandError, match="1 sums differ"):
        call_command("rebuild_rollups", "2026-03-02", "2026-03-02", "--check", stdout=StringIO())
    out = StringIO()
    call_command("rebuild_rollups", "2026-03-02", "2026-03-02", stdout=out)
    assert "from 1 events" in out.getvalue()
    call_command("rebuild_rollups", "2026-03-02", "2026-03-02", "--check", stdout=out)
    assert stored() == counted()


def test_the_nightly_task_tells_the_operator():
    organization = make_funded("10")
    yesterday = timezone.now() - timedelta(days=1)
    record_usage([make_record(organization, "1", occurred_at=yesterday)], at=timezone.now())
    assert tasks.audit_usage() == 0
    UsageDay.objects.update(charge=Decimal(3))
    assert tasks.audit_usage() == 1
    event = DomainEvent.objects.get(type="usage.sums_differ")
    assert (event.organization_id, Decimal(event.data["kept"][1])) == (organization.pk, 3)


def test_the_months_around_now_have_a_partition():
    tasks.make_partitions()
    assert tasks.make_partitions() == 0

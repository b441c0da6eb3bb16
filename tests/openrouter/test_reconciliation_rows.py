"""What becomes of a difference: a row with an owner, closed when it vanishes, told once; and the command."""

import json
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from credits.services import release_hold
from openrouter.models import ReconciliationDifference, ReconciliationRun
from openrouter.reconciliation.findings import explain_difference
from outbox.models import DomainEvent
from tests.openrouter.building import now, spend
from tests.openrouter.metering import make_call, metered, note_attempt
from tests.openrouter.reconciling import NOON, YESTERDAY, rows, run

pytestmark = pytest.mark.django_db


def test_a_difference_is_one_row_while_it_persists_and_moves_with_its_amount(provider, account):
    first = spend(provider, account.secret)
    found = run().open[0]
    second = spend(provider, account.secret)
    report = run()
    [row] = [row for row in report.open if row.scope == "key"]
    assert (row.id, row.found_at) == (found.id, found.found_at)
    assert row.difference == first + second
    assert row.last_seen_at > found.last_seen_at
    assert report.new == 0


def test_a_difference_that_vanishes_is_closed_with_a_note(provider, account):
    call = make_call(provider, account)
    release_hold(call.hold_id, at=now())
    assert len(run().open) == 2
    note_attempt(call, cost=call.cost, answered=False)
    assert run().open == []
    closed = ReconciliationDifference.objects.all()
    assert {(row.note, row.resolved_by, row.resolved_at is not None) for row in closed} == {
        ("The two sides agree now.", "", True)
    }


def test_a_difference_that_vanished_and_comes_back_is_a_new_row(provider, account):
    call = make_call(provider, account)
    release_hold(call.hold_id, at=now())
    run()
    attempt = note_attempt(call, cost=call.cost, answered=False)
    run()
    attempt.delete()
    assert len(run().open) == 2
    assert ReconciliationDifference.objects.filter(scope="key").count() == 2


def test_an_explained_difference_is_not_reported_again_until_its_amount_changes(provider, account):
    spend(provider, account.secret)
    for row in run().open:
        explain_difference(
            difference_id=row.id, owner="operator", note="test traffic", resolved_by="op@example.com", at=now()
        )
    report = run()
    assert (report.is_clean, report.new) == (True, 0)
    spend(provider, account.secret)
    assert run().new == 2


def test_the_news_tell_once_of_all_that_a_run_found_in_a_scope(provider, account):
    missing = spend(provider, account.secret)
    run()
    run()
    told = DomainEvent.objects.filter(type="reconciliation.drift")
    [own] = told.filter(organization__isnull=False)
    assert own.organization_id == account.organization_id
    assert own.data == {"scope": "key", "new": 1, "sum": f"{missing:f}".rstrip("0")}
    events = told.filter(organization__isnull=True).order_by("id")
    assert [event.data["scope"] for event in events] == ["key", "account"]
    assert events[0].organization_id is None
    assert events[0].data["largest"] == [
        {"subject": account.hash, "difference": f"{missing:f}".rstrip("0"), "owner": "gateway"}
    ]
    assert account.secret not in str([event.data for event in events])


def test_a_run_is_kept(provider, account):
    spend(provider, account.secret)
    run(YESTERDAY)
    [kept] = ReconciliationRun.objects.all()
    assert (kept.day, kept.found, kept.error) == (YESTERDAY, 2, "")
    assert kept.compared["key"] == 2
    assert kept.finished_at is not None


def test_a_comparison_that_cannot_be_made_is_an_error_and_keeps_no_other_from_being_made(provider, account):
    missing = spend(provider, account.secret)
    provider.set_fault("401", path="/api/v1/credits")
    report = run()
    assert rows(report) == [("key", account.hash, missing, "gateway")]
    assert len(report.errors) == 1
    assert "account" in report.errors[0]
    assert not report.is_clean


def test_a_difference_stays_open_while_its_comparison_cannot_be_made(provider, account):
    spend(provider, account.secret)
    before = {row.id for row in run().open}
    provider.set_fault("401", path="/api/v1/keys", times=9)
    assert {row.id for row in run().open} == before
    provider.clear_faults()


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("reconcile_provider", "--wait", "0", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_says_that_both_agree(provider, account, yesterday):
    metered(provider, account, at=NOON)
    yesterday()
    assert "Both sets of books agree." in command()
    assert json.loads(command("--json"))["day"] == YESTERDAY.isoformat()


def test_the_command_fails_while_a_difference_is_unexplained_and_lists_it(provider, account, capsys):
    missing = spend(provider, account.secret)
    out = StringIO()
    with pytest.raises(CommandError, match="2 unexplained differences") as failed:
        call_command("reconcile_provider", "--now", "--wait", "0", stdout=out)
    assert failed.value.returncode == 1
    assert f"DIFFERENCE key {account.hash}" in out.getvalue()
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("reconcile_provider", "--now", "--json", "--wait", "0", stdout=out)
    told = json.loads(out.getvalue())
    assert [row["scope"] for row in told["differences"]] == ["key", "account"]
    assert Decimal(told["differences"][0]["difference"]) == missing


def test_the_command_refuses_a_day_that_is_not_over(provider):
    with pytest.raises(CommandError, match="not over"):
        command("--date", now().date().isoformat())


def test_the_command_fails_differently_when_it_could_not_compare(provider, account):
    provider.set_fault("401", path="/api/v1/credits")
    with pytest.raises(CommandError) as failed:
        command("--now")
    assert failed.value.returncode == 2


def test_the_command_needs_a_provider(provider, settings):
    settings.OPENROUTER_MANAGEMENT_KEY = settings.OPENROUTER_SANDBOX_MANAGEMENT_KEY = ""
    with pytest.raises(CommandError, match="No provider account"):
        command("--now")

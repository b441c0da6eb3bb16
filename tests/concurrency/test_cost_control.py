"""What-ifs that many ask for at once, and a zone that changes while calls end: real connections in a forced order."""

from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, transaction

from accounts.models import Organization
from advice.models import WhatIfRun
from advice.services import what_if
from advice.what_if.change import Change
from advice.what_if.reading import Asked
from credits.services import HoldRequest, place_holds
from metering.services import BudgetTerms, create_budget, record_usage
from tests.builders import NOON, make_funded, make_organization, make_record, usd
from tests.concurrency.parallel import Meeting, run_parallel, wait_until_waited_for

pytestmark = pytest.mark.django_db(transaction=True)
MANY = what_if.MOST_OPEN + 3


@pytest.fixture
def ask_many(monkeypatch):
    """Many what-ifs of one organization at once, none of them short."""
    monkeypatch.setattr(what_if, "AT_ONCE", -1)
    organization = make_organization()
    asked = Asked(NOON - timedelta(days=1), NOON, {})

    def ask():
        return what_if.start_what_if(
            organization_id=organization.pk,
            asked=asked,
            change=Change(markup_percent=usd("5")),
            requested_by="ada@example.com",
            at=NOON,
        )

    return lambda: Counter(type(answer).__name__ for answer in run_parallel([ask] * MANY))


def test_of_what_ifs_asked_at_once_no_more_are_open_than_may_be(ask_many):
    assert ask_many() == {"WhatIfRun": what_if.MOST_OPEN, "TooManyWhatIfs": MANY - what_if.MOST_OPEN}
    assert WhatIfRun.objects.count() == what_if.MOST_OPEN


def test_control_without_the_lock_all_of_them_are_open(ask_many, monkeypatch):
    """Everybody has counted before anybody adds."""
    everybody, plain = Meeting(MANY), what_if._refuse_crowd

    def refuse_crowd(organization_id):
        plain(organization_id)
        everybody.wait()

    monkeypatch.setattr(what_if, "lock_organization", lambda _: None)
    monkeypatch.setattr(what_if, "_refuse_crowd", refuse_crowd)
    assert ask_many() == {"WhatIfRun": MANY}
    assert WhatIfRun.objects.count() == MANY


def test_a_zone_changes_beside_calls_that_begin_and_end_without_a_deadlock():
    """The change has the organization's row and waits for the wallet; who has the wallet refers to the organization."""
    organization = make_funded("100")
    terms = BudgetTerms(name="b", period="daily", amount=usd("10"), enforcement="block")
    create_budget(organization_id=organization.pk, terms=terms, actor="t", at=NOON)
    begin, holder = Meeting(2), []

    def change_zone():
        begin.wait()
        Organization.objects.filter(pk=organization.pk).update(time_zone="Asia/Tokyo")
        return "changed"

    def call():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT credits_lock(ARRAY[%s::uuid])", [organization.pk])
            begin.wait()
            wait_until_waited_for()
            holder.extend(
                place_holds([HoldRequest(organization.pk, usd("1"), "a", NOON + timedelta(hours=1))], at=NOON)
            )
            return record_usage([make_record(organization, "1", hold_id=holder[0].hold_id)], at=NOON)[0].status

    assert run_parallel([change_zone, call]) == ["changed", "recorded"]

"""The balance as it was and as it will be, worked by hand."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from credits.forecast import FARTHEST, forecast, posted_balances
from credits.services import deduct_credits, grant_credits
from tests.builders import NOON, make_customer, usd

DAY = timedelta(days=1)


@dataclass
class Part:
    remaining: Decimal
    expires_at: datetime | None = None


def test_credit_is_spent_evenly_until_it_runs_out():
    answer = forecast([Part(usd("5"))], daily=usd("2"), at=NOON, days=4)
    assert answer.left == [usd("3"), usd("1"), usd("0"), usd("0")]
    assert answer.runs_out_at == NOON + 2 * DAY + DAY / 2 and answer.wasted == 0


def test_credit_that_expires_is_lost_and_the_rest_lasts():
    lots = [Part(usd("10"), NOON + 2 * DAY), Part(usd("3"))]
    answer = forecast(lots, daily=usd("1"), at=NOON, days=4)
    assert answer.left == [usd("12"), usd("3"), usd("2"), usd("1")]
    assert (answer.wasted, answer.runs_out_at) == (usd("8"), NOON + 5 * DAY)


def test_all_of_it_may_expire_before_it_is_spent():
    answer = forecast([Part(usd("10"), NOON + DAY)], daily=usd("1"), at=NOON, days=1)
    assert (answer.left, answer.wasted, answer.runs_out_at) == ([usd("0")], usd("9"), NOON + DAY)


def test_what_lasts_longer_than_a_year_has_no_date():
    assert forecast([Part(usd("1000"))], daily=usd("1"), at=NOON, days=0).runs_out_at is None
    assert FARTHEST == 366


def test_without_credit_there_is_nothing_to_run_out():
    answer = forecast([], daily=usd("1"), at=NOON, days=2)
    assert (answer.left, answer.runs_out_at) == ([0, 0], None)


@pytest.mark.django_db
def test_balances_of_the_past_are_those_of_the_entries_before(django_assert_num_queries):
    customer = make_customer()
    terms = {"organization_id": customer.id, "reason": "x", "actor": "x"}
    grant_credits(amount=usd("10"), kind="bonus", at=NOON, **terms)
    deduct_credits(amount=usd("4"), at=NOON + DAY, **terms)
    instants = [NOON, NOON + DAY / 2, NOON + DAY, NOON + 2 * DAY]
    with django_assert_num_queries(1):
        assert posted_balances(customer.id, instants) == [None, usd("10"), usd("10"), usd("6")]

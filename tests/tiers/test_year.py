"""A simulated year on both catalogues: with a beat every day, and with outages and a beat that runs double."""

from datetime import timedelta

import pytest

from credits.audit import audit_books
from credits.models import LedgerEntry, Statement
from tests.tiers.customers import check_rules
from tests.tiers.test_close_histories import statements_add_up
from tests.tiers.year import END, badly, compare, every_day, live, plan
from tiers.close.models import PeriodClose


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_year_with_outages_and_a_double_beat_gives_the_books_of_a_year_without():
    lives = plan(seed=11, organizations=16, every=timedelta(days=12))

    on_time = live(lives, every_day, threads=False)
    badly_run = live(lives, badly(5), threads=True)

    assert compare(on_time, badly_run) == []
    assert audit_books() == []
    for customer in (*on_time, *badly_run):
        check_rules(customer.id)
    assert PeriodClose.objects.filter(organization__in=[each.id for each in on_time]).count() > 16 * 10
    assert not PeriodClose.objects.filter(statement=None, rolled_over__isnull=False).exists()
    assert Statement.objects.count() == PeriodClose.objects.exclude(statement=None).count()
    assert LedgerEntry.objects.filter(kind="grant", reason__startswith="Rolled over").exists()
    assert {"spend", "use", "hold", "settle", "pay", "switch"} <= {
        answer for each in on_time for answer in each.answers
    }
    for life, customer in zip(lives, on_time, strict=True):
        statements_add_up(customer, END, life.begins_at)

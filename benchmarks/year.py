"""A simulated year of 1,000 organizations on both catalogues: a good beat and a bad one must leave the same books.

Run it on a database of its own: it leaves its organizations behind.
"""

import time
from datetime import timedelta

import django

from benchmarks.report import describe_machine

django.setup()

from credits.audit import audit_books  # noqa: E402  (after the set-up)
from credits.models import LedgerEntry, Statement  # noqa: E402
from tests.tiers.customers import check_rules  # noqa: E402
from tests.tiers.year import badly, compare, every_day, live, plan  # noqa: E402
from tiers.close.models import PeriodClose  # noqa: E402


def main(*, quick: bool) -> None:
    """Live the year twice, compare every row of the books, and audit them."""
    count = 50 if quick else 1_000
    print(f"\n## A year of {count:,} organizations: {describe_machine()}")
    lives = plan(seed=2027, organizations=count, every=timedelta(days=18))
    print(f"\n{sum(len(life.actions) for life in lives):,} actions in each telling")
    started = time.perf_counter()
    on_time = live(lives, every_day, threads=True)
    print(f"day by day: {time.perf_counter() - started:,.0f} s", flush=True)
    started = time.perf_counter()
    badly_run = live(lives, badly(7), threads=True)
    print(f"with outages and double runs: {time.perf_counter() - started:,.0f} s", flush=True)
    differences = compare(on_time, badly_run)
    print(f"\nPeriod closes: {_of(PeriodClose, on_time):,} and {_of(PeriodClose, badly_run):,}")
    print(f"Statements: {_of(Statement, on_time):,} and {_of(Statement, badly_run):,}")
    entries = [
        LedgerEntry.objects.filter(account_id__in=[each.id for each in told]).count() for told in (on_time, badly_run)
    ]
    print(f"Ledger entries: {entries[0]:,} and {entries[1]:,}")
    for customer in (*on_time, *badly_run):
        check_rules(customer.id)
    wrong = audit_books()
    print(f"Differences between the two sets of books: {differences[:10] or 'none'}")
    print(f"Audit: {'all checks hold' if not wrong else wrong[:5]}")


def _of(model, customers) -> int:  # type: ignore[no-untyped-def]
    return model.objects.filter(organization__in=[each.id for each in customers]).count()

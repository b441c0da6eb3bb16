"""Reconciliations of tests, yesterday and today."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from openrouter.reconciliation import reconcile
from tests.openrouter.building import now

YESTERDAY = (now() - timedelta(days=1)).date()
NOON = datetime(YESTERDAY.year, YESTERDAY.month, YESTERDAY.day, 12, tzinfo=UTC)


def run(day=None, wait=0.0, calls=None):
    return reconcile(day=day, at=now(), calls=calls, wait=wait)


def rows(report) -> list[tuple[str, str, Decimal, str]]:
    return [(row.scope, row.subject, row.difference, row.owner) for row in report.open]


def scopes(report) -> set[str]:
    return {row.scope for row in report.open}

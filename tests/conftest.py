"""What every test may rely on."""

import asyncio
from functools import wraps

import hypothesis
import pytest
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import TransactionTestCase

from tests.emptying import empty_database

# How long a busy machine takes to make up an example says nothing about the product.
hypothesis.settings.register_profile("farebox", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("farebox")


@pytest.fixture(autouse=True, scope="session")
def tests_that_commit_leave_an_empty_database():
    """Also of the ledger, whose triggers refuse it: only the emptying itself runs without them."""
    plain_flush = DatabaseOperations.execute_sql_flush

    def flush(self, sql_list):
        plain_flush(self, ["SET session_replication_role = replica", *sql_list, "RESET session_replication_role"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", flush)
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty_database())
        yield


def _without_running_loop(plain):
    """``plain`` as if no loop were running in this thread."""

    @wraps(plain)
    def run(*arguments, **options):
        theirs = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return plain(*arguments, **options)
        finally:
            asyncio._set_running_loop(theirs)

    return run


@pytest.fixture(autouse=True, scope="session")
def an_event_loop_can_be_run_beside_a_browser():
    """The browser's synchronous driver leaves its own loop marked as running in the thread of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((asyncio, "run"), (asyncio.Runner, "run"), (asyncio.Runner, "close")):
            patch.setattr(owner, name, _without_running_loop(getattr(owner, name)))
        yield


@pytest.fixture(autouse=True)
def no_price_book_from_another_test():
    """A price book in memory outlives the rows that a test rolls back."""
    from metering.price_book import forget_price_book

    forget_price_book()
    yield
    forget_price_book()

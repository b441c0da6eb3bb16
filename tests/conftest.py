"""What every test may rely on."""

import asyncio
import gc
import logging
import os
from functools import wraps
from urllib.parse import urlsplit

import hypothesis
import pytest
from django.conf import settings
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import TransactionTestCase, override_settings

from core.ttlcache import TtlCache
from tests.emptying import empty_database
from tests.migrated import origin
from tests.ports import free_port

# How long a busy machine takes to make up an example says nothing about the product.
hypothesis.settings.register_profile("farebox", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("farebox")

# Memory is plentiful and the process ends soon: looking for garbage after every 700 objects takes a fifth of its time.
_THRESHOLD = (50_000, 20, 20)
gc.set_threshold(*_THRESHOLD)


def pytest_collection_finish():
    """What the tests are made of stays: nobody needs to look through it for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLD)  # an entry point of the product that a test has loaded sets its own


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix, django_db_blocker, django_db_keepdb, django_db_createdb
):
    """Test databases are copies, on which nothing is left to migrate; one that is used again is migrated on."""
    if django_db_createdb or not django_db_keepdb:
        with django_db_blocker.unblock():
            connection.settings_dict["TEST"]["TEMPLATE"] = origin()


def pytest_configure():
    """Give each process of the tests a Redis database of its own, as it has a PostgreSQL one: queue, cache, limits."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    address = urlsplit(settings.REDIS_URL)
    settings.REDIS_URL = address._replace(path=f"/{(int(address.path[1:] or 0) + number) % 16}").geturl()
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": settings.REDIS_URL}}
    settings.CELERY_BROKER_URL = settings.REDIS_URL


@pytest.fixture(autouse=True, scope="session")
def a_busy_machine_is_no_outage():
    """The limiter gives Redis a quarter of a second, which a crowded machine may need for something else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("accounts.ratelimits.limiter.TIMEOUT_SECONDS", 30)
        yield


@pytest.fixture(autouse=True, scope="session")
def nobody_reads_that_a_request_began_and_ended():
    """Two lines a request, each made for several readers, are a tenth of a short one. Whose test reads them asks."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(max(level, logging.WARNING))
    yield
    root.setLevel(level)


@pytest.fixture(autouse=True, scope="session")
def a_read_that_fails_is_tried_again_at_once():
    """How often the provider is asked counts; nobody waits more than a second for one that is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("openrouter.client.transport._PAUSES", (0.0, 0.0))
        yield


@pytest.fixture(autouse=True, scope="session")
def sandboxes_have_ports_that_nobody_is_given():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sandbox.testing.free_port", free_port)
        yield


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


@pytest.fixture(autouse=True, scope="session")
def static_files_are_found_when_asked_for():
    """Every new client makes the middleware anew, which would otherwise look at each static file first."""
    with override_settings(WHITENOISE_AUTOREFRESH=True):
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


@pytest.fixture
def memory_keeps(monkeypatch):
    """What a process remembers for a moment stays, so that a count of queries does not tell how slow the machine is."""
    monkeypatch.setattr(TtlCache, "get", lambda cache, key: cache._entries[key][1])
    monkeypatch.setattr("metering.price_book.book._clock", lambda: 0.0)


@pytest.fixture
def django_assert_num_queries(django_assert_num_queries, memory_keeps):
    return django_assert_num_queries


@pytest.fixture
def django_assert_max_num_queries(django_assert_max_num_queries, memory_keeps):
    return django_assert_max_num_queries

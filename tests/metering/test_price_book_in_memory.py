"""The price book in memory: names of models, and changes that are seen a moment later."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from metering.price_book import (
    FRESH_SECONDS,
    STALE_SECONDS,
    PriceBook,
    card_for,
    card_for_async,
    forget_price_book,
)
from tests.metering.listing import DAY, HOUR, PLAIN, name_of, record, sync

pytestmark = pytest.mark.django_db


A_MOMENT = FRESH_SECONDS * 1.1


@pytest.fixture
def named():
    sync(
        record("vendor/one", canonical_slug="vendor/one-20260115"),
        record("vendor/one:free", {"prompt": "0", "completion": "0"}, canonical_slug="vendor/one-20260115"),
        record("vendor/one:thinking", canonical_slug="vendor/one-thinking"),
        record("~vendor/one-latest", canonical_slug="~vendor/one-latest"),
    )


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("vendor/one", "vendor/one"),
        ("vendor/one:nitro", "vendor/one"),
        ("vendor/one:floor", "vendor/one"),
        ("vendor/one:exacto", "vendor/one"),
        ("vendor/one:online", "vendor/one"),
        ("vendor/one:free", "vendor/one:free"),  # a row of its own
        ("vendor/one:free:online", "vendor/one:free"),
        ("vendor/one:thinking", "vendor/one:thinking"),
        ("vendor/one-20260115", "vendor/one"),  # shared: the paid one, unless the free one was asked for
        ("vendor/one-20260115:free", "vendor/one:free"),
        ("vendor/one-20260115:nitro", "vendor/one"),
        ("~vendor/one-latest", "~vendor/one-latest"),
        ("vendor/two", None),
        ("vendor/one:batch", None),  # another price, and none is known
        ("vendor/one:extended", None),
        ("vendor/two:free", None),
        ("", None),
        (":nitro", None),
    ],
)
def test_every_name_of_a_model_finds_its_price(name, model):
    assert name_of(name) == model


@pytest.mark.usefixtures("named")
def test_a_shared_slug_means_the_variant_that_was_requested():
    assert name_of("vendor/one-20260115", requested="vendor/one:free") == "vendor/one:free"
    assert name_of("vendor/one-20260115", requested="vendor/one:free:online") == "vendor/one:free"
    assert name_of("vendor/one-20260115", requested="vendor/one:nitro") == "vendor/one"
    assert name_of("vendor/one-20260115", requested="vendor/other") == "vendor/one"


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_a_change_elsewhere_is_seen_after_a_moment(django_assert_num_queries):
    clock = Clock()
    book = PriceBook(clock)
    sync(record("vendor/one"))
    assert set(book.current().models) == {"vendor/one"}
    sync(record("vendor/one"), record("vendor/two"), at=DAY + HOUR)
    with django_assert_num_queries(0):
        assert set(book.current().models) == {"vendor/one"}
    clock.now += A_MOMENT
    assert set(book.current().models) == {"vendor/one", "vendor/two"}


def test_an_unchanged_book_costs_one_tiny_query_a_moment(django_assert_num_queries):
    clock = Clock()
    book = PriceBook(clock)
    sync(record("vendor/one"))
    book.current()
    sync(record("vendor/one"), at=DAY + HOUR)  # seen again, nothing new
    clock.now += A_MOMENT
    with django_assert_num_queries(1):
        book.current()


def test_a_book_read_inside_a_transaction_that_is_rolled_back_is_read_again():
    clock = Clock()
    book = PriceBook(clock)
    with transaction.atomic():
        sync(record("vendor/ghost"))
        assert set(book.current().models) == {"vendor/ghost"}
        transaction.set_rollback(True)
    sync(record("vendor/real"))
    clock.now += A_MOMENT
    assert set(book.current().models) == {"vendor/real"}


def test_an_old_event_finds_the_price_of_its_day():
    long_ago = DAY - timedelta(days=400)
    sync(record("vendor/one"), at=long_ago)
    sync(record("vendor/one", {**PLAIN, "prompt": "0.000004"}), at=long_ago + HOUR)
    assert card_for("vendor/one", long_ago).card.prices["prompt"] == Decimal("0.000003")
    assert card_for("vendor/one", long_ago + HOUR).card.prices["prompt"] == Decimal("0.000004")
    assert card_for("vendor/one", long_ago - HOUR) is None


@pytest.mark.django_db(transaction=True)
def test_the_event_loop_reads_the_book_in_a_thread():
    sync(record("vendor/one"))

    async def ask():
        forget_price_book()
        prices = await asyncio.gather(*[card_for_async("vendor/one", DAY) for _ in range(50)])
        return {price.model.id for price in prices}, await card_for_async("vendor/one", DAY - timedelta(days=400))

    assert asyncio.run(ask()) == ({"vendor/one"}, None)


@pytest.mark.django_db(transaction=True)
def test_the_event_loop_goes_on_with_a_book_a_moment_too_old_and_then_has_the_new_one():
    clock = Clock()
    book = PriceBook(clock)
    sync(record("vendor/one"))

    async def ask():
        await book.current_async()
        await asyncio.to_thread(add)
        clock.now += A_MOMENT
        old = await book.current_async()
        async with asyncio.timeout(60):
            while len((await book.current_async()).models) == 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        clock.now += STALE_SECONDS + 1
        return set(old.models), set((await book.current_async()).models)

    def add():
        sync(record("vendor/one"), record("vendor/two"), at=DAY + HOUR)
        connection.close()

    assert asyncio.run(ask()) == ({"vendor/one"}, {"vendor/one", "vendor/two"})

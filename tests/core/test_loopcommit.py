"""Group commit on the event loop, against the real database: each item once, whatever happens to its connection."""

import asyncio
import time

import psycopg
import pytest
from django.db import connection

from core.groupcommit import BooksUnavailable
from core.loopcommit import Batch, LoopCommit
from core.pgloop import LoopConnection
from core.sqlcalls import Query

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 60  # seconds for what must happen, however slow the machine
GATE = 4711

# Gives each item of a batch back, with the process that served it; the item "poison" fails the whole statement, and
# the item "wait" waits until the gate is open.
ECHO = f"""
SELECT x, pg_backend_pid(), CASE x WHEN 'poison' THEN 1 / (length(x) - 6) END,
       CASE x WHEN 'wait' THEN pg_advisory_xact_lock_shared({GATE})::text END
FROM jsonb_array_elements_text($1::jsonb) AS t (x)
"""


class Gate:
    """Closed while the test holds it, with a connection of its own."""

    def __init__(self):
        self._connection = psycopg.connect(**connection.get_connection_params(), autocommit=True)
        self._connection.execute("SELECT pg_advisory_lock(%s)", [GATE])

    async def until_somebody_waits(self):
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"
        async with asyncio.timeout(PATIENCE):
            while self._connection.execute(waiting, [GATE]).fetchone()[0] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def open(self):
        self._connection.close()


@pytest.fixture
def gate(db):
    gate = Gate()
    yield gate
    gate.open()


class Recorder:
    """Batches that note what they were given."""

    def __init__(self):
        self.batches = []

    @property
    def batch(self):
        return Batch(self.queries, lambda _, rows: [(row[0], row[1]) for row in rows[0]])

    def queries(self, items):
        self.batches.append(list(items))
        text = "[" + ",".join(f'"{item}"' for item in items) + "]"
        return [Query(ECHO, (text,))]


@pytest.fixture
async def commit():
    made = []

    def make(recorder, **settings):
        made.append(LoopCommit(recorder.batch, name="test", **settings))
        return made[-1]

    yield make
    for each in made:
        assert await each.close(PATIENCE)


async def sql(statement):
    """Run a statement on a connection of its own thread."""

    def execute():
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    await asyncio.to_thread(execute)


async def cut(pid):
    await sql(f"SELECT pg_terminate_backend({pid}, 60000)")


async def test_each_caller_gets_the_result_of_its_own_item(commit):
    group = commit(Recorder())
    found = await asyncio.gather(*(group.submit(n) for n in range(100)))
    assert [item for item, _ in found] == [str(n) for n in range(100)]


async def test_items_gather_while_the_batch_before_them_commits(commit, gate):
    recorder = Recorder()
    group = commit(recorder)
    first = group.submit("wait")
    await gate.until_somebody_waits()
    rest = [group.submit(n) for n in range(10)]
    gate.open()
    await asyncio.gather(first, *rest)
    assert recorder.batches == [["wait"], list(range(10))]


async def test_a_batch_never_exceeds_its_limit(commit):
    recorder = Recorder()
    group = commit(recorder, largest_batch=4)
    await asyncio.gather(*(group.submit(n) for n in range(11)))
    assert [len(batch) for batch in recorder.batches] == [4, 4, 3]


async def test_a_batch_larger_than_a_socket_takes_at_once_arrives_whole(commit):
    group = commit(Recorder())
    words = [str(n) * 200_000 for n in range(10)] * 3
    found = await asyncio.gather(*(group.submit(word) for word in words))
    assert [item for item, _ in found] == words


async def test_a_bad_item_fails_alone(commit):
    group = commit(Recorder())
    await group.submit("warm")
    good, bad, other = await asyncio.gather(*map(group.submit, ("a", "poison", "b")), return_exceptions=True)
    assert (good[0], other[0]) == ("a", "b")
    assert isinstance(bad, psycopg.errors.DivisionByZero)
    assert (await group.submit("after"))[0] == "after"


async def test_the_queries_of_a_batch_are_one_transaction():
    await sql("CREATE TABLE loop_test (n int)")
    server = LoopConnection()
    insert, fail = Query("INSERT INTO loop_test VALUES (1)", ()), Query("SELECT 1 / ($1::int)", ("0",))
    try:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await server.run([insert, fail])
        assert await server.run([insert, Query("SELECT count(*) FROM loop_test", ())]) == [[(1,)]]
    finally:
        server.close()
        await sql("DROP TABLE loop_test")


async def test_an_idle_connection_that_was_cut_is_opened_anew(commit):
    group = commit(Recorder())
    _, first = await group.submit(1)
    await cut(first)
    _, second = await group.submit(2)
    assert second != first


async def test_a_batch_whose_connection_is_cut_half_way_runs_again(commit, gate):
    recorder = Recorder()
    group = commit(recorder, patience=PATIENCE)
    _, first = await group.submit("before")
    running = group.submit("wait")
    await gate.until_somebody_waits()
    await cut(first)
    gate.open()
    item, second = await running
    assert item == "wait" and second != first
    assert recorder.batches[1:] == [["wait"], ["wait"]]


async def test_without_a_database_items_are_refused_after_the_patience(commit, monkeypatch):
    group = commit(Recorder(), patience=0.1)

    async def away(self):
        raise psycopg.OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(LoopConnection, "open", away)
        started = time.monotonic()
        with pytest.raises(BooksUnavailable):
            await group.submit(1)
        assert 0.1 <= time.monotonic() - started < PATIENCE
    assert (await group.submit(2))[0] == "2"


async def test_more_than_the_queue_holds_is_refused(commit, gate):
    group = commit(Recorder(), longest_queue=3)
    taken = [group.submit("wait")]
    await gate.until_somebody_waits()
    taken += [group.submit(n) for n in range(3)]
    with pytest.raises(BooksUnavailable):
        group.submit("one too many")
    gate.open()
    assert len(await asyncio.gather(*taken)) == 4


async def test_closing_finishes_what_was_taken_and_takes_nothing_more(commit):
    group = commit(Recorder())
    waiting = [group.submit(n) for n in range(20)]
    assert await group.close(PATIENCE)
    assert len(await asyncio.gather(*waiting)) == 20
    with pytest.raises(BooksUnavailable):
        group.submit("late")


async def test_a_cancelled_caller_does_not_take_its_item_back(commit):
    recorder = Recorder()
    group = commit(recorder)
    group.submit(1).cancel()
    assert (await group.submit(2))[0] == "2"
    assert [item for batch in recorder.batches for item in batch] == [1, 2]


async def test_a_statement_that_no_longer_fits_its_table_is_planned_anew(commit):
    await sql("CREATE TABLE loop_shape (a text)")
    every = Query("SELECT * FROM loop_shape", ())
    group = LoopCommit(Batch(lambda items: [every], lambda items, rows: [rows[0]] * len(items)), name="shape")
    try:
        assert await group.submit(1) == []
        await sql("ALTER TABLE loop_shape ADD b text")
        assert await group.submit(2) == []
    finally:
        assert await group.close(PATIENCE)
        await sql("DROP TABLE loop_shape")


async def test_a_pooler_in_between_gets_no_prepared_statements(commit, settings):
    options = settings.DATABASES["default"]["OPTIONS"]
    kept, options["prepare_threshold"] = options["prepare_threshold"], None
    try:
        group = commit(Recorder())
        assert (await group.submit("plain"))[0] == "plain"
        assert group._connection._names == {}
    finally:
        options["prepare_threshold"] = kept

import asyncio
import threading
import time

import pytest
from django.db import OperationalError

from core.groupcommit import BooksUnavailable, GroupCommit

PATIENCE = 60  # seconds for what must happen, however slow the machine


class Recorder:
    """A function for batches that notes what it was given; one that is ``held`` waits until it may ``go``."""

    def __init__(self, delay=0.0, held=False):
        self.batches = []
        self.delay = delay
        self.failures = []
        self.begun, self.go = threading.Event(), threading.Event()
        if not held:
            self.go.set()

    def __call__(self, items):
        self.batches.append(list(items))
        self.begun.set()
        assert self.go.wait(PATIENCE)
        time.sleep(self.delay)
        if self.failures:
            raise self.failures.pop(0)
        if "poison" in items:
            raise ValueError("poison")
        return [f"done {item}" for item in items]


@pytest.fixture
def commit():
    made = []

    def make(function, **settings):
        made.append(GroupCommit(function, name="test", **settings))
        return made[-1]

    yield make
    for each in made:
        assert each.close(PATIENCE)


async def test_each_caller_gets_the_result_of_its_own_item(commit):
    group = commit(Recorder())
    assert await asyncio.gather(*(group.submit(n) for n in range(100))) == [f"done {n}" for n in range(100)]


async def test_a_lone_item_is_committed_at_once_and_others_gather_meanwhile(commit):
    recorder = Recorder(held=True)
    group = commit(recorder)
    first = group.submit("first")
    assert await asyncio.to_thread(recorder.begun.wait, PATIENCE)
    rest = [group.submit(n) for n in range(10)]
    recorder.go.set()
    await asyncio.gather(first, *rest)
    assert recorder.batches == [["first"], list(range(10))]


async def test_a_batch_never_exceeds_its_limit(commit):
    recorder = Recorder(delay=0.02)
    group = commit(recorder, largest_batch=4)
    await asyncio.gather(*(group.submit(n) for n in range(11)))
    assert max(map(len, recorder.batches)) <= 4
    assert [item for batch in recorder.batches for item in batch] == list(range(11))


async def test_a_bad_item_fails_alone(commit):
    recorder = Recorder(delay=0.02)
    group = commit(recorder)
    group.submit("warm")
    results = await asyncio.gather(*(group.submit(n) for n in (1, "poison", 2)), return_exceptions=True)
    assert results[0] == "done 1"
    assert isinstance(results[1], ValueError)
    assert results[2] == "done 2"


async def test_a_lost_connection_is_tried_again(commit):
    recorder = Recorder()
    recorder.failures = [OperationalError("server closed the connection"), OperationalError("starting up")]
    group = commit(recorder, patience=PATIENCE)
    assert await group.submit(1) == "done 1"
    assert recorder.batches == [[1], [1], [1]]


async def test_without_a_database_items_are_refused_after_the_patience(commit):
    recorder = Recorder()
    recorder.failures = [OperationalError("away")] * 100_000
    group = commit(recorder, patience=0.1)
    started = time.monotonic()
    with pytest.raises(BooksUnavailable):
        await group.submit(1)
    assert time.monotonic() - started >= 0.1
    assert recorder.failures  # it was not tried for ever
    recorder.failures.clear()
    assert await group.submit(2) == "done 2"


async def test_more_than_the_queue_holds_is_refused(commit):
    recorder = Recorder(held=True)
    group = commit(recorder, longest_queue=3)
    taken = [group.submit("running")]
    assert await asyncio.to_thread(recorder.begun.wait, PATIENCE)
    taken += [group.submit(n) for n in range(3)]
    with pytest.raises(BooksUnavailable):
        group.submit("one too many")
    recorder.go.set()
    assert len(await asyncio.gather(*taken)) == 4


async def test_closing_finishes_what_was_taken_and_takes_nothing_more(commit):
    recorder = Recorder(delay=0.02)
    group = commit(recorder)
    waiting = [group.submit(n) for n in range(20)]
    assert await asyncio.to_thread(group.close, PATIENCE)
    assert await asyncio.gather(*waiting) == [f"done {n}" for n in range(20)]
    with pytest.raises(BooksUnavailable):
        group.submit("late")


async def test_a_cancelled_caller_does_not_take_its_item_back(commit):
    recorder = Recorder(delay=0.02)
    group = commit(recorder)
    future = group.submit(1)
    future.cancel()
    assert await group.submit(2) == "done 2"
    assert [item for batch in recorder.batches for item in batch] == [1, 2]


async def test_callers_on_several_event_loops_are_all_answered(commit):
    group = commit(Recorder(delay=0.01))
    results = []

    def other_loop(n):
        async def main():
            results.append(await group.submit(n))

        asyncio.run(main())

    threads = [threading.Thread(target=other_loop, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    assert await group.submit("here") == "done here"
    await asyncio.to_thread(lambda: [thread.join(PATIENCE) for thread in threads])
    assert sorted(results) == [f"done {n}" for n in range(5)]


@pytest.mark.django_db(transaction=True)
async def test_the_thread_reconnects_when_its_connection_was_cut(commit):
    from django.db import connection

    def backend_pids(items):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            pid = cursor.fetchone()[0]
        return [pid for _ in items]

    group = commit(backend_pids, patience=PATIENCE)
    first = await group.submit(1)
    assert await group.submit(2) == first

    def cut():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 60000)", [first])
        connection.close()

    await asyncio.to_thread(cut)
    assert await group.submit(3) != first


async def test_a_batch_under_way_counts_as_unfinished(commit):
    """Whoever chooses between two groups must not take a working one for an idle one."""
    begun, go = threading.Event(), threading.Event()

    def slow(items):
        begun.set()
        go.wait(PATIENCE)
        return items

    group = commit(slow)
    first = group.submit("a")
    await asyncio.to_thread(begun.wait, PATIENCE)
    assert group.unfinished == 1
    second = group.submit("b")
    assert group.unfinished == 2
    go.set()
    assert await asyncio.gather(first, second) == ["a", "b"]


async def test_items_are_prepared_while_the_batch_before_them_is_committed(commit):
    prepared, may_commit = [], threading.Event()

    def function(items):
        assert set(items) <= set(prepared)
        if "first" in items:
            assert may_commit.wait(PATIENCE)
        return items

    def prepare(item):
        prepared.append(item)
        if item == "last":
            may_commit.set()  # while the first batch is still under way

    group = commit(function, prepare=prepare)
    first = group.submit("first")
    rest = [group.submit(n) for n in (1, 2, "last")]
    assert await asyncio.wait_for(asyncio.gather(first, *rest), PATIENCE) == ["first", 1, 2, "last"]


async def test_no_thread_of_it_keeps_a_place_of_the_pool(commit, monkeypatch):
    own = set()
    monkeypatch.setattr("core.groupcommit.use_own_connection", lambda: own.add(threading.current_thread().name))
    assert await commit(Recorder(), prepare=str).submit(1) == "done 1"
    assert own == {"group-commit-test", "prepare-test"}


async def test_an_item_that_cannot_be_prepared_is_left_to_its_batch(commit):
    def prepare(item):
        raise (OperationalError if item == 1 else ValueError)(item)

    group = commit(Recorder(), prepare=prepare)
    assert await asyncio.gather(*(group.submit(n) for n in range(3))) == ["done 0", "done 1", "done 2"]


async def test_the_end_waits_for_what_is_still_to_be_prepared(commit):
    group = commit(Recorder(), prepare=lambda item: time.sleep(0.02))
    futures = [group.submit(n) for n in range(5)]
    assert await asyncio.to_thread(group.close, PATIENCE)
    assert await asyncio.gather(*futures) == [f"done {n}" for n in range(5)]

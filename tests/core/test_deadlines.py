import asyncio

import pytest

from core.deadlines import Deadlines


async def test_each_deadline_is_kept_in_its_order():
    rung, deadlines = [], Deadlines(0.02)
    began = asyncio.get_running_loop().time()
    for n in range(3):
        deadlines.set(lambda n=n: rung.append((n, asyncio.get_running_loop().time() - began)))
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert [n for n, _ in rung] == [0, 1, 2]
    assert all(waited >= 0.02 + 0.01 * n - 0.001 for n, waited in rung)
    assert len(deadlines) == 0


async def test_a_cancelled_deadline_does_nothing_and_the_next_is_kept():
    rung, deadlines = [], Deadlines(0.01)
    first, second = deadlines.set(lambda: rung.append("first")), deadlines.set(lambda: rung.append("second"))
    first.cancel()
    first.cancel()
    await asyncio.sleep(0.03)
    second.cancel()  # too late, and harmless
    assert rung == ["second"]


async def test_one_failure_does_not_keep_others_from_being_told():
    rung, deadlines = [], Deadlines(0.01)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: rung.append("failed"))
    deadlines.set(lambda: 1 / 0)
    deadlines.set(lambda: rung.append("told"))
    await asyncio.sleep(0.03)
    assert rung == ["failed", "told"]


async def test_cancelled_deadlines_behind_one_that_lives_long_are_thrown_away():
    deadlines = Deadlines(60.0)
    long = deadlines.set(lambda: None)
    for _ in range(10_000):
        deadlines.set(lambda: None).cancel()
    assert len(deadlines) < 200
    long.cancel()


async def test_a_limit_ends_what_takes_longer_and_nothing_else():
    deadlines = Deadlines(0.02)
    with pytest.raises(TimeoutError), deadlines.limit():
        await asyncio.sleep(5)
    with deadlines.limit():
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)  # the deadline of a block that has ended cancels nobody
    with pytest.raises(KeyError), deadlines.limit():
        raise KeyError
    assert asyncio.current_task().cancelling() == 0


async def test_who_is_cancelled_by_somebody_else_is_not_told_of_a_timeout():
    async def limited():
        with Deadlines(0.02).limit():
            await asyncio.sleep(5)

    task = asyncio.ensure_future(limited())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_block_that_ends_in_the_turn_in_which_it_is_due_is_not_cancelled_afterwards():
    deadlines = Deadlines(0.02)
    with deadlines.limit():
        await asyncio.sleep(0)
        deadlines._ring()  # nothing is due yet
        deadlines._queue[0].due = 0.0
        deadlines._ring()  # has the loop call what is due in its next turn
    await asyncio.sleep(0.01)

import asyncio

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

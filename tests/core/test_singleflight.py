"""Questions that many ask at once are asked once."""

import asyncio

import pytest

from core.singleflight import SingleFlight


class Source:
    """Answers when it is let, and counts who asks."""

    def __init__(self):
        self.asked = 0
        self.let = asyncio.Event()

    async def answer(self):
        self.asked += 1
        number = self.asked
        await self.let.wait()
        return number


def test_all_who_ask_at_once_have_the_answer_of_the_first():
    async def run():
        flights, source = SingleFlight(), Source()
        waiting = [asyncio.create_task(flights.ask("a", source.answer)) for _ in range(5)]
        await asyncio.sleep(0)
        other = asyncio.create_task(flights.ask("b", source.answer))
        await asyncio.sleep(0)
        source.let.set()
        assert await asyncio.gather(*waiting, other) == [1, 1, 1, 1, 1, 2]
        assert await flights.ask("a", source.answer) == 3, "what was answered is not kept"

    asyncio.run(run())


def test_whoever_stops_waiting_ends_it_for_nobody():
    async def run():
        flights, source = SingleFlight(), Source()
        first, second = (asyncio.create_task(flights.ask("a", source.answer)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        source.let.set()
        assert await second == source.asked == 1

    asyncio.run(run())


def test_what_is_under_way_may_be_forgotten_and_its_end_forgets_nothing_newer():
    async def run():
        flights, old, new = SingleFlight(), Source(), Source()
        before = asyncio.create_task(flights.ask("a", old.answer))
        await asyncio.sleep(0)
        flights.forget()
        after = asyncio.create_task(flights.ask("a", new.answer))
        await asyncio.sleep(0)
        old.let.set()
        assert await before == 1
        joining = asyncio.create_task(flights.ask("a", new.answer))
        await asyncio.sleep(0)
        new.let.set()
        assert [await after, await joining, new.asked] == [1, 1, 1]

    asyncio.run(run())


def test_a_failure_is_everybodys_and_the_next_asks_again():
    async def run():
        flights, asked = SingleFlight(), []

        async def fail():
            asked.append(1)
            await asyncio.sleep(0)
            raise LookupError

        results = await asyncio.gather(*(flights.ask("a", fail) for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [LookupError] * 3
        assert len(asked) == 1
        with pytest.raises(LookupError):
            await flights.ask("a", fail)
        assert len(asked) == 2

    asyncio.run(run())

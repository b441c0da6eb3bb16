"""A connection's one timer: moved on by what arrives, and without meaning while nothing is waited for."""

import asyncio
import heapq

import aiohttp
import pytest

from openrouter.gateway.silence import _Handler


class Timer:
    def __init__(self, at, work):
        self.at, self.work, self.is_cancelled = at, work, False

    def __lt__(self, other):
        return self.at < other.at

    def when(self):
        return self.at

    def cancel(self):
        self.is_cancelled = True


class Clock:
    """As much of an event loop as a connection asks for, at a time of the test's own."""

    def __init__(self):
        self.now, self.timers, self.set = 0.0, [], 0

    def time(self):
        return self.now

    def call_at(self, at, work):
        self.set += 1
        timer = Timer(at, work)
        heapq.heappush(self.timers, timer)
        return timer

    def go_on_to(self, moment):
        while self.timers and self.timers[0].at <= moment:
            timer = heapq.heappop(self.timers)
            self.now = timer.at
            if not timer.is_cancelled:
                timer.work()
        self.now = moment


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def connection(clock):
    made = _Handler(clock)
    made.connection_made(asyncio.Transport())
    made.read_timeout = 10
    made.start_timeout()
    return made


def is_given_up(connection) -> bool:
    return isinstance(connection.exception(), aiohttp.SocketTimeoutError)


def test_silence_counts_from_the_last_piece(clock, connection):
    for moment in range(9):
        clock.go_on_to(moment)
        connection.data_received(b"x")
    clock.go_on_to(17.9)
    assert not is_given_up(connection)
    clock.go_on_to(18)
    assert is_given_up(connection)
    assert clock.set == 2  # at first, and once more when that rang


def test_a_pause_between_requests_is_no_silence(clock, connection):
    connection._drop_timeout()  # as at the end of an answer
    clock.go_on_to(30)
    assert not is_given_up(connection)
    connection.start_timeout()
    clock.go_on_to(39.9)
    assert not is_given_up(connection)
    clock.go_on_to(40)
    assert is_given_up(connection)


def test_a_shorter_patience_is_kept_too(clock, connection):
    connection.read_timeout = 2
    connection.start_timeout()
    clock.go_on_to(2)
    assert is_given_up(connection)


def test_no_timer_outlives_its_connection(clock, connection):
    connection.connection_lost(None)
    assert all(timer.is_cancelled for timer in clock.timers)

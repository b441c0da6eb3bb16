"""Sliding windows: never more than the limit in any window, all or nothing, and no outage when Redis is away."""

import asyncio
import re
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from uuid import uuid4

import pytest

from accounts.principal import Principal
from accounts.ratelimits import Bucket, correct_async, gateway_buckets, limiter, rate_limit_headers, take, take_async
from accounts.ratelimits.headers import duration
from accounts.ratelimits.limiter import _Outage
from tests.api.caller import Caller
from tests.builders import make_customer

SECOND = 1000


def bucket(limit=5, *, cost=1, unit="requests", window_ms=60 * SECOND, key=None):
    return Bucket(key or f"test:{uuid4()}", unit, unit, limit, cost, window_ms)


def again(bucket, **changes):
    fields = {name: getattr(bucket, name) for name in bucket.__slots__}
    return Bucket(**{**fields, **changes})


@pytest.fixture(autouse=True)
def no_outage(monkeypatch):
    monkeypatch.setattr(limiter, "outage", _Outage())


def test_the_limit_is_admitted_and_the_next_call_is_told_when_to_come_back():
    window = bucket(3)
    decisions = [take([window]) for _ in range(4)]
    assert [decision.admitted for decision in decisions] == [True, True, True, False]
    assert [decision.states[0].remaining for decision in decisions] == [2, 1, 0, 0]
    # A slot is a twelfth of the window and counts until its last instant is a window ago.
    assert 60 * SECOND <= decisions[-1].states[0].retry_ms <= 65 * SECOND
    assert decisions[-1].retry_after in range(60, 66)


def test_no_span_of_a_windows_length_ever_sees_more_than_the_limit():
    window = bucket(10, window_ms=600)
    admitted = []
    while len(admitted) <= 20:  # room comes back
        asked = time.monotonic()
        if take([window]).admitted:
            admitted.append((asked, time.monotonic()))
        time.sleep(0.003)
    for (first_asked, _), (_, eleventh_told) in zip(admitted, admitted[10:], strict=False):
        assert eleventh_told - first_asked >= 0.6


def test_after_the_announced_wait_the_call_fits():
    window = bucket(2, window_ms=300)
    while (refused := take([window])).admitted:
        pass
    time.sleep(refused.states[0].retry_ms / 1000)
    assert take([window]).admitted


def test_all_windows_admit_a_call_or_none_counts_it():
    wide, narrow = bucket(100), bucket(1)
    assert take([wide, narrow]).admitted
    refused = take([wide, narrow])
    assert not refused.admitted
    assert take([wide]).states[0].remaining == 98


def test_a_limit_of_zero_admits_nothing():
    assert not take([bucket(0)]).admitted


def test_a_call_larger_than_the_whole_limit_needs_an_empty_window():
    window = bucket(100, cost=1_000, unit="tokens")
    assert take([window]).admitted
    assert not take([again(window, cost=1)]).admitted


def test_parallel_calls_never_get_more_than_the_limit():
    window = bucket(20)
    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(lambda _: take([window]).admitted, range(50))) == 20


def test_the_event_loop_counts_in_the_same_windows():
    window = bucket(20)
    for _ in range(5):
        take([window])

    async def many():
        return await asyncio.gather(*(take_async([window]) for _ in range(40)))

    assert sum(decision.admitted for decision in asyncio.run(many())) == 15


def test_tokens_are_corrected_to_what_was_used():
    window = bucket(1_000, cost=400, unit="tokens")

    async def call(used):
        decision = await take_async([window])
        correct_async(decision, tokens=used)
        return (await take_async([again(window, cost=0)])).states[0].remaining

    async def calls():
        return [await call(100), await call(0), await call(450)]

    assert asyncio.run(calls()) == [900, 900, 450]


def test_a_refused_call_has_nothing_to_correct():
    window = bucket(10, cost=10, unit="tokens")

    async def calls():
        await take_async([window])
        refused = await take_async([window])
        correct_async(refused, tokens=0)
        return (await take_async([again(window, cost=0)])).states[0].remaining

    assert asyncio.run(calls()) == 0


def test_redis_away_admits_at_once_and_says_so_once(settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    said, asked = [], []

    def ask(*_, **__):
        asked.append(1)
        raise OSError("away")

    monkeypatch.setattr(limiter.log, "error", lambda event, **_: said.append(event))
    monkeypatch.setattr(limiter, "_client", lambda url: (None, ask))
    monkeypatch.setattr(limiter._Gatherer, "_run_script", ask)
    monkeypatch.setattr(limiter, "time", SimpleNamespace(monotonic=lambda: 100.0))  # all at one moment
    assert all(take([bucket(0)]).admitted for _ in range(50))

    async def calls():
        return await asyncio.gather(*(take_async([bucket(0)]) for _ in range(50)))

    assert all(decision.admitted for decision in asyncio.run(calls()))
    assert (said, len(asked)) == (["ratelimits.redis_down"], 1)  # nobody else has waited for it


def test_headers_follow_the_draft_and_openai():
    who = Principal(uuid4(), "live", frozenset(), "k", api_key_id=uuid4(), requests_per_minute=5)
    headers = rate_limit_headers(take(gateway_buckets(who, requests_per_minute=60, tokens_per_minute=1000, tokens=100)))
    assert (
        headers["RateLimit-Policy"] == '"requests";q=60;w=60, "tokens";q=1000;w=60;qu="tokens", "key-requests";q=5;w=60'
    )
    assert re.fullmatch(r'"requests";r=59;t=6\d, "tokens";r=900;t=6\d, "key-requests";r=4;t=6\d', headers["RateLimit"])
    assert headers["x-ratelimit-limit-requests"] == "5"  # the tightest of the two
    assert headers["x-ratelimit-remaining-requests"] == "4"
    assert (headers["x-ratelimit-limit-tokens"], headers["x-ratelimit-remaining-tokens"]) == ("1000", "900")
    assert re.fullmatch(r"1m\d(\.\d+)?s", headers["x-ratelimit-reset-tokens"])


@pytest.mark.parametrize(("ms", "text"), [(0, "0ms"), (850, "850ms"), (12_500, "12.5s"), (65_000, "1m5s")])
def test_durations_are_written_as_openai_does(ms, text):
    assert duration(ms) == text


@pytest.mark.django_db(transaction=True)
def test_a_keys_own_limit_holds_in_the_api_and_is_told():
    caller = Caller(make_customer(), requests_per_minute=2)
    answers = [caller.send("GET", "organization") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0]["x-ratelimit-remaining-requests"] == "1"
    assert '"key-requests";q=2;w=60' in answers[0]["RateLimit-Policy"]
    refusal = answers[2].json()
    assert (refusal["code"], refusal["limits"]) == ("rate_limited", ["key-requests"])
    assert answers[2]["Retry-After"] == str(refusal["retry_after"])


@pytest.mark.django_db(transaction=True)
def test_one_organizations_calls_do_not_use_up_anothers_room(settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "api": 1}
    first, second = make_customer(), make_customer()
    assert Caller(first).send("GET", "organization").status_code == 200
    assert Caller(first).send("GET", "organization").status_code == 429  # a second key does not help
    assert Caller(second).send("GET", "organization").status_code == 200
    assert Caller(first.test_twin).send("GET", "organization").status_code == 200

"""Values live for a moment, and never more of them than agreed."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.ttlcache import TtlCache


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    return TtlCache(seconds=1, size=3, clock=clock)


def test_a_value_dies_after_its_time(cache, clock):
    cache.put("a", None)
    clock.now = 0.999
    assert cache.get("a") is None
    clock.now = 1.0
    with pytest.raises(KeyError):
        cache.get("a")


def test_a_value_put_again_lives_anew(cache, clock):
    cache.put("a", 1)
    clock.now = 0.9
    cache.put("a", 2)
    clock.now = 1.5
    assert cache.get("a") == 2


def test_the_oldest_makes_room(cache):
    for key in "abca":
        cache.put(key, key)
    cache.put("d", "d")
    with pytest.raises(KeyError):
        cache.get("b")
    assert [cache.get(key) for key in "acd"] == ["a", "c", "d"]
    assert len(cache) == 3


def test_values_can_be_dropped_and_all_forgotten(cache):
    cache.put("a", 1), cache.put("b", 2)
    cache.drop("a"), cache.drop("never there")
    with pytest.raises(KeyError):
        cache.get("a")
    cache.clear()
    assert len(cache) == 0


def test_threads_may_share_it():
    cache = TtlCache(seconds=60, size=50)

    def work(n):
        for i in range(2_000):
            cache.put((n, i % 80), i)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert len(cache) <= 50 + 8

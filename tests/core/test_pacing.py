import time

from core import pacing
from core.pacing import Pace


class Clocks:
    """The time, and how much of it the process has worked."""

    def __init__(self, monkeypatch):
        self.now = self.worked = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "process_time", lambda: self.worked)

    def pass_by(self, seconds, share):
        self.now += seconds
        self.worked += seconds * share


def test_a_process_with_little_to_do_sends_at_once(monkeypatch):
    clocks = Clocks(monkeypatch)
    pace = Pace()
    for _ in range(20):
        pace.sent()
        assert pace.left() <= 0
        clocks.pass_by(0.002, share=0.3)


def test_a_busy_one_gathers_longer_and_longer_up_to_a_limit(monkeypatch):
    clocks = Clocks(monkeypatch)
    pace = Pace()
    waits = []
    for _ in range(20):
        clocks.pass_by(0.01, share=0.95)
        pace.sent()
        waits.append(pace.left())
    assert waits == sorted(waits)
    assert abs(waits[-1] - pacing._LONGEST) < 1e-9


def test_it_stops_soon_when_there_is_less_to_do(monkeypatch):
    clocks = Clocks(monkeypatch)
    pace = Pace()
    for _ in range(20):
        clocks.pass_by(0.01, share=0.95)
        pace.sent()
    for _ in range(5):
        clocks.pass_by(0.01, share=0.2)
        pace.sent()
    assert pace.left() <= 0


def test_who_comes_after_a_pause_never_waits(monkeypatch):
    clocks = Clocks(monkeypatch)
    pace = Pace()
    for _ in range(20):
        clocks.pass_by(0.01, share=0.95)
        pace.sent()
    clocks.pass_by(1.0, share=0.0)
    assert pace.left() <= 0

"""The background recorder: whatever happens to server or process, each event is in the books once."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from farebox import Event, Farebox, FareboxError, QueueFull, buffers
from farebox.buffers import DiskBuffer

pytestmark = pytest.mark.django_db(transaction=True)
SOURCES = str(Path(__file__).parents[2] / "sdk/python/src")


class Switch(httpx.BaseTransport):
    """A network that can be cut. ``loses_answers``: requests arrive, answers do not."""

    def __init__(self):
        self.is_cut = False
        self.loses_answers = 0
        self.requests = 0
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request):
        if self.is_cut:
            raise httpx.ConnectError("cut")
        self.requests += 1
        answer = self._inner.handle_request(request)
        if self.loses_answers:
            self.loses_answers -= 1
            answer.read()
            raise httpx.ReadError("lost")
        return answer


@pytest.fixture
def network():
    return Switch()


@pytest.fixture
def client(customer, network):
    with Farebox(customer.api_key, customer.url, retries=0, http_client=httpx.Client(transport=network)) as farebox:
        yield farebox


def names(customer):
    return [event.name for event in customer.events]


def test_events_are_gathered_and_sent_in_batches(client, customer, network):
    with client.recorder(batch_size=100, interval=60) as recorder:
        ids = [recorder.record(Event(f"e{n:03}")) for n in range(250)]
        assert recorder.flush(60)
        assert recorder.pending == 0
    assert [event.external_id for event in customer.events] == ids
    assert 3 <= network.requests <= 10


def test_an_outage_and_lost_answers_cost_nothing_and_double_nothing(client, customer, network):
    with client.recorder(interval=0.01, batch_size=10) as recorder:
        network.is_cut = True
        for n in range(30):
            recorder.record(Event(f"e{n:02}", cost=Decimal("0.01")))
        time.sleep(0.2)
        assert (recorder.pending, customer.events) == (30, [])
        network.loses_answers = 2
        network.is_cut = False
        assert recorder.flush(60)
    assert names(customer) == [f"e{n:02}" for n in range(30)]
    assert client.balance().balance == Decimal("9.70")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, html="<p>Bad gateway"),
        httpx.Response(200, html="<p>Sign in to this network"),
        httpx.Response(301, headers={"Location": "https://elsewhere.example"}),
        httpx.Response(400, html="<p>The plain HTTP request was sent to HTTPS port"),
        httpx.Response(405, html="<p>Not allowed"),
        httpx.Response(200, json={"results": []}),
        httpx.Response(200, json={"results": [None]}),
        httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip")),
    ],
    ids=["error page", "page", "redirect", "bad request", "not allowed", "too few", "no result", "no gzip"],
)
def test_no_answer_of_whatever_stands_between_ends_the_recorder(client, customer, network, monkeypatch, answer):
    answers, through = [answer], network.handle_request
    monkeypatch.setattr(network, "handle_request", lambda request: answers.pop() if answers else through(request))
    with client.recorder(interval=0.01) as recorder:
        recorder.record(Event("kept"))
        assert recorder.flush(60)
    assert names(customer) == ["kept"]


def test_an_event_that_is_refused_is_told_and_keeps_no_other_back(client, customer):
    refused = []
    with client.recorder(on_refused=lambda event, error: refused.append((event["name"], error["code"]))) as recorder:
        recorder.record(Event("fine"))
        recorder.record(Event("too dear", cost=Decimal("999")))
        recorder.record(Event("fine, too"))
        assert recorder.flush(60)
    assert names(customer) == ["fine", "fine, too"]
    assert refused == [("too dear", "insufficient_credits")]


def test_a_full_recorder_waits_and_then_says_so(client, customer, network):
    network.is_cut = True
    recorder = client.recorder(most_events=3, full_seconds=0.05, interval=0.01)
    for n in range(3):
        recorder.record(Event(f"e{n}"))
    with pytest.raises(QueueFull):
        recorder.record(Event("one too many"))
    network.is_cut = False
    assert recorder.flush(60)
    recorder.record(Event("e3"))
    assert recorder.close(20) == 0
    assert names(customer) == ["e0", "e1", "e2", "e3"]
    with pytest.raises(FareboxError, match="closed"):
        recorder.record(Event("too late"))


def test_many_threads_may_record(client, customer):
    with client.recorder(batch_size=50, interval=0.01) as recorder:
        threads = [
            threading.Thread(target=lambda t=t: [recorder.record(Event(f"{t}-{n:02}")) for n in range(50)])
            for t in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert names(customer) == sorted(f"{t}-{n:02}" for t in range(8) for n in range(50))


def test_what_cannot_be_sent_at_the_end_stays_in_the_spool_for_the_next(client, customer, network, tmp_path):
    network.is_cut = True
    recorder = client.recorder(spool=tmp_path, interval=0.01, batch_size=4)
    for n in range(10):
        recorder.record(Event(f"e{n}"))
    assert recorder.close(0.1) == 10
    assert len(list(tmp_path.glob("*.events"))) == 3
    network.is_cut = False
    with client.recorder(spool=tmp_path) as following:
        assert following.pending == 10
        assert following.flush(60)
    assert names(customer) == [f"e{n}" for n in range(10)]
    assert list(tmp_path.iterdir()) == []


def test_files_of_a_living_process_are_left_to_it_and_a_torn_line_was_never_accepted(tmp_path):
    mine = DiskBuffer(tmp_path, 10)
    mine.append(b'{"name":"a"}')
    assert DiskBuffer(tmp_path, 10).pending == 0
    mine.close()
    [file] = tmp_path.glob("*.events")
    with file.open("ab") as torn:
        torn.write(b'{"name":"b"')
    left = DiskBuffer(tmp_path, 10)
    assert (left.pending, left.take().documents) == (1, [{"name": "a"}])


@pytest.mark.parametrize("left", [b"", b'{"name":"to'], ids=["nothing", "a torn line"])
def test_a_file_without_events_stops_nobody(client, customer, tmp_path, left):
    """A process that is killed between opening its file and writing into it leaves one."""
    (tmp_path / f"{0:032x}.events").write_bytes(left)
    (tmp_path / "of somebody else.events").write_bytes(b'{"name":"a"}\n')
    with client.recorder(spool=tmp_path, interval=0.01) as recorder:
        recorder.record(Event("kept"))
        assert recorder.flush(60)
    assert names(customer) == ["kept"]
    assert [path.name for path in tmp_path.iterdir()] == ["of somebody else.events"]


def test_a_file_that_is_about_to_be_locked_is_nobody_elses(tmp_path, monkeypatch):
    """Another process starts in the folder just between this one's opening and locking its file."""
    plain, others = buffers._lock, []

    def lock(file, **options):
        monkeypatch.setattr(buffers, "_lock", plain)
        others.append(DiskBuffer(tmp_path, 10))
        return plain(file, **options)

    monkeypatch.setattr(buffers, "_lock", lock)
    mine = DiskBuffer(tmp_path, 10)
    mine.append(b'{"name":"a"}')
    assert (others[0].pending, others[0].take()) == (0, None)
    assert len(list(tmp_path.iterdir())) == 1, "the first one was empty when the other looked"
    assert mine.take().documents == [{"name": "a"}]


def test_a_full_disk_takes_nothing_and_leaves_nothing(tmp_path, monkeypatch):
    """Half a line must not swallow the next one, and what raised must not count as waiting."""
    mine, plain = DiskBuffer(tmp_path, 10), buffers._write

    def write(file, line):
        plain(file, line[: len(line) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    for lines in ((), (b'{"name":"a"}',)):
        for line in lines:
            mine.append(line)
        with monkeypatch.context() as full, pytest.raises(OSError, match="No space"):
            full.setattr(buffers, "_write", write)
            mine.append(b'{"name":"lost"}')
    mine.append(b'{"name":"b"}')
    assert mine.pending == 2
    batch = mine.take()
    assert batch.documents == [{"name": "a"}, {"name": "b"}]
    batch.done()
    assert (mine.pending, mine.take(), list(tmp_path.iterdir())) == (0, None, [])


def test_a_spool_that_is_cleared_away_loses_nothing_of_a_living_process(client, customer, network, tmp_path):
    network.is_cut = True
    spool = tmp_path / "spool"
    with client.recorder(spool=spool, interval=0.01, batch_size=2) as recorder:
        for n in range(3):
            recorder.record(Event(f"e{n}"))
        shutil.rmtree(spool)
        for n in range(3, 6):
            recorder.record(Event(f"e{n}"))
        network.is_cut = False
        assert recorder.flush(60)
    assert names(customer) == [f"e{n}" for n in range(6)]
    assert list(spool.iterdir()) == []


def test_what_waited_through_an_outage_is_sent_without_pauses_in_between(client, customer, network):
    network.is_cut = True
    with client.recorder(interval=60, batch_size=2) as recorder:
        for n in range(10):
            recorder.record(Event(f"e{n}"))
        network.is_cut = False
        patience = time.monotonic() + 30
        while recorder.pending and time.monotonic() < patience:
            time.sleep(0.01)
        assert recorder.pending == 0


def test_where_no_thread_can_be_started_events_wait_for_one_or_for_the_end(client, customer, monkeypatch):
    plain = threading.Thread.start

    def start(thread):
        if thread.name == "farebox-recorder":  # the server, in this process too, may need one at this moment
            raise RuntimeError("can't start new thread")
        plain(thread)

    recorder = client.recorder(interval=0.01)
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", start)
        recorder.record(Event("a"))
        assert (recorder.pending, recorder.close(20)) == (1, 0)
    again = client.recorder(interval=0.01)
    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", start)
        again.record(Event("b"))
    again.record(Event("c"))
    assert again.flush(60)
    assert names(customer) == ["a", "b", "c"]


def test_a_client_closes_after_its_recorders(customer):
    with Farebox(customer.api_key, customer.url) as client:
        recorder = client.recorder(interval=60)
        recorder.record(Event("kept"))
    assert (recorder.pending, names(customer)) == (0, ["kept"])


def test_who_hears_of_a_refusal_may_close(client, customer):
    with client.recorder(interval=0.01, on_refused=lambda event, error: left.append(recorder.close())) as recorder:
        left = []
        recorder.record(Event("too dear", cost=Decimal("999")))
        assert recorder.flush(60)
    assert left == [1]


def test_a_file_that_was_sent_while_another_looked_is_not_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [tmp_path / "sent.events"])
    assert DiskBuffer(tmp_path, 10).pending == 0
    assert list(tmp_path.iterdir()) == []


def run(customer, script, *arguments, **options):
    environment = {
        **os.environ,
        "PYTHONPATH": SOURCES,
        "FAREBOX_API_KEY": customer.api_key,
        "FAREBOX_URL": customer.url,
    }
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], env=environment, stdout=subprocess.PIPE, **options
    )


ENDS_AT_ONCE = """
from farebox import Event, Farebox
recorder = Farebox().recorder(interval=60)
for n in range(700):
    recorder.record(Event(f"e{n:03}"))
"""


def test_a_process_that_ends_sends_first(customer):
    assert run(customer, ENDS_AT_ONCE).wait(60) == 0
    assert names(customer) == [f"e{n:03}" for n in range(700)]


WORKS_UNTIL_KILLED = """
import sys
from farebox import Event, Farebox
recorder = Farebox().recorder(spool=sys.argv[1], interval=0.02, batch_size=7)
n = 0
while True:
    recorder.record(Event(f"e{n:05}"))
    n += 1
    print(n, flush=True)
"""


def test_a_killed_process_loses_nothing_that_it_took(customer, client, tmp_path):
    child = run(customer, WORKS_UNTIL_KILLED, str(tmp_path))
    for _ in range(200):
        taken = int(child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    taken = max([taken, *(int(line) for line in child.stdout.read().split())])
    child.wait(10)
    with client.recorder(spool=tmp_path) as following:
        assert following.flush(60)
    found = names(customer)
    assert found[:taken] == [f"e{n:05}" for n in range(taken)]
    assert taken <= len(found) <= taken + 1, "the last one may have been taken without being told"
    assert len({event.external_id for event in customer.events}) == len(found)


FORKS = """
import multiprocessing, os
from farebox import Event, Farebox
client = Farebox()
connection = client._http if client.balance() else None
recorder = client.recorder(interval=60)
recorder.record(Event("before"))
child = os.fork()
recorder.record(Event("child" if child == 0 else "parent"))
assert (client._http is connection) == (child != 0), "each would read the other's answers"
if child:
    assert os.waitpid(child, 0)[1] == 0
    another = multiprocessing.get_context("fork").Process(target=lambda: recorder.record(Event("multiprocessing")))
    another.start()
    another.join()
"""


def test_a_fork_sends_what_is_its_own_over_its_own_connection(customer):
    assert run(customer, FORKS).wait(60) == 0
    assert names(customer) == ["before", "child", "multiprocessing", "parent"]


def test_a_batch_that_is_refused_whole_is_taken_apart(client, customer, monkeypatch):
    """As when something on the way refuses one event's body."""
    refused = []
    with client.recorder(on_refused=lambda event, error: refused.append((event["name"], error["status"]))) as recorder:
        plain = client.send

        def send(call):
            if call.body and any(event["name"] == "poison" for event in call.body["events"]):
                raise farebox_error()
            return plain(call)

        monkeypatch.setattr(client, "send", send)
        for name in ("a", "b", "poison", "c"):
            recorder.record(Event(name))
        assert recorder.flush(60)
    assert (names(customer), refused) == (["a", "b", "c"], [("poison", 413)])


def farebox_error():
    from farebox.errors import error_for

    return error_for(413, None, json.dumps("too large"))

"""Events cut anywhere, with any line ending: passed on whole, read when they matter."""

import json
import random

import pytest

from openrouter.gateway import sse
from openrouter.gateway.answers import Reading, read_answer
from openrouter.gateway.sse import EventStream, EventTooLarge

CHUNKS = [
    {"id": "gen-1", "model": "v/m", "provider": "P", "choices": [{"index": 0, "delta": {"content": "né 日 🙂"}}]},
    {"id": "gen-1", "choices": [{"index": 0, "delta": {"content": 'data: [DONE] "usage" \n\n'}}], "usage": None},
    {"id": "gen-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"id": "gen-1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "cost": 2.55e-06}},
]


def wire(ending="\n") -> bytes:
    events = [": OPENROUTER PROCESSING"]
    events += [f"data: {json.dumps(chunk, ensure_ascii=False)}" for chunk in CHUNKS]
    return "".join(event + ending * 2 for event in [*events, "data: [DONE]"]).encode()


def read(pieces):
    reading = Reading()
    stream = EventStream(lambda data: reading.take(read_answer(data)))
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return reading, passed, stream


def cut(data: bytes, seed: int) -> list[bytes]:
    places = sorted(random.Random(seed).sample(range(1, len(data)), 40))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("seed", range(20))
def test_bytes_cut_anywhere_arrive_whole_and_are_understood(ending, seed):
    data = wire(ending)
    reading, passed, stream = read(cut(data, seed))
    assert stream.done
    assert passed + stream.ending == data
    assert stream.ending.strip() == b"data: [DONE]"
    assert (reading.generation_id, reading.model, reading.provider) == ("gen-1", "v/m", "P")
    assert str(reading.usage.cost) == "0.00000255"
    assert reading.finish_reason == "stop"


def test_byte_by_byte():
    data = wire("\r\n")
    reading, passed, stream = read([data[at : at + 1] for at in range(len(data))])
    assert passed + stream.ending == data
    assert reading.usage.completion_tokens == 2


def test_an_event_is_passed_on_as_soon_as_it_is_complete():
    stream = EventStream(lambda data: None)
    assert stream.feed(b": waiting\n\n") == b": waiting\n\n"
    assert stream.feed(b'data: {"id"') == b""
    assert stream.feed(b': 1}\n\ndata: {"id": 2') == b'data: {"id": 1}\n\n'


def test_the_last_usage_counts_and_null_is_none():
    chunks = [{"usage": {"cost": 1}}, {"usage": None}, {"usage": {"cost": 2}}, {"usage": None}]
    reading, _, _ = read([f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks])
    assert reading.usage.cost == 2


def test_an_event_may_be_replaced():
    stream = EventStream(lambda data: b'{"clean":1}' if b'"error"' in data else None)
    out = stream.feed(b'data: {"a":1}\n\ndata: {"error":{"raw":"secret"}}\n\ndata: {"b":2}\n\n')
    assert out == b'data: {"a":1}\n\ndata: {"clean":1}\n\ndata: {"b":2}\n\n'


def test_an_endless_event_is_given_up(monkeypatch):
    monkeypatch.setattr(sse, "LARGEST_EVENT", 1000)
    stream = EventStream(lambda data: None)
    with pytest.raises(EventTooLarge):
        for _ in range(200):
            stream.feed(b"data: xxxxxxxxx")


@pytest.mark.parametrize(
    ("usage", "cost", "prompt"),
    [
        ({"cost": 0, "prompt_tokens": 0}, "0", 0),
        ({"cost": "1.5", "prompt_tokens": "7"}, "1.5", 7),
        ({"cost": None, "prompt_tokens": 7.0}, "None", 7),
        ({"cost": {}, "prompt_tokens": 7, "prompt_tokens_details": 5}, "None", 7),
        ({"cost": 1e-12, "prompt_tokens": -3}, "1E-12", 0),
    ],
)
def test_odd_usage_hides_neither_the_bill_nor_the_counts(usage, cost, prompt):
    answer = read_answer(json.dumps({"usage": usage, "choices": [{"finish_reason": 7}], "id": 5}).encode())
    assert str(answer.usage.cost) == cost
    assert answer.usage.tokens().prompt_tokens == prompt


@pytest.mark.parametrize("data", [b"", b"nope", b"[1]", b"null", b'"x"', b"\xff", b"{" * 5000])
def test_what_is_no_object_is_no_answer(data):
    assert read_answer(data) is None

import time
from decimal import Decimal

import pytest

from sandbox.text import count_tokens
from tests.sandbox.asking import (
    ask,
    chat_body,
    eventually,
    open_raw,
    parse_stream,
    read_until,
    stream,
)


def billed(sandbox, id_):
    """The record of a call once it is in the books."""
    return eventually(lambda: sandbox.generations(id=id_))[0]


def id_in(head: bytes) -> str:
    return head.lower().split(b"x-generation-id: ")[1].split(b"\r\n")[0].decode()


def test_a_stream_says_the_same_as_the_whole_answer_and_costs_the_same(sandbox):
    whole = ask(sandbox, "openai/gpt-4o-mini", "what is new?")[1]
    got = stream(sandbox, "openai/gpt-4o-mini", "what is new?")
    assert got.text == whole["choices"][0]["message"]["content"]
    assert got.usages == [whole["usage"]]
    assert sandbox.usage() == 2 * whole["usage"]["cost"]


def test_events_come_in_the_contracts_order(sandbox):
    got = stream(sandbox, "openai/gpt-4o-mini", "[[tokens=3]]")
    assert got.status == 200
    assert got.headers["content-type"] == "text/event-stream"
    assert got.raw.startswith(b": OPENROUTER PROCESSING\n\ndata: ")
    assert got.raw.endswith(b"data: [DONE]\n\n")
    assert {event["id"] for event in got.events} == {got.headers["x-generation-id"]}
    assert {event["object"] for event in got.events} == {"chat.completion.chunk"}
    choices = [event["choices"][0] for event in got.events]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop", "stop"]
    assert all(choice["delta"]["role"] == "assistant" for choice in choices)
    assert ["usage" in event for event in got.events] == [False, False, False, False, True]


def test_thoughts_come_first_with_empty_content(sandbox):
    got = stream(sandbox, "sandbox/reasoning", "[[tokens=2 reasoning=3]]")
    deltas = [event["choices"][0]["delta"] for event in got.events]
    thoughts = [delta for delta in deltas if "reasoning" in delta]
    assert deltas[:3] == thoughts
    assert all(delta["content"] == "" for delta in thoughts)
    assert thoughts[0]["reasoning_details"][0]["text"] == thoughts[0]["reasoning"]
    assert got.usages[0]["completion_tokens_details"]["reasoning_tokens"] == 3


def test_tool_calls_come_in_pieces(sandbox):
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    got = stream(sandbox, "sandbox/tool", tools=tools)
    calls = [call for event in got.events for call in event["choices"][0]["delta"].get("tool_calls", [])]
    assert (calls[0]["function"]["name"], calls[0]["id"][:5]) == ("look", "call_")
    assert "".join(call["function"]["arguments"] for call in calls) == "{}"
    assert got.events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_stream_stops_at_its_limit(sandbox):
    got = stream(sandbox, "sandbox/chat", "[[tokens=50]]", max_tokens=10)
    assert (count_tokens(got.text), got.events[-1]["choices"][0]["finish_reason"]) == (10, "length")


def test_pieces_may_hold_several_tokens(sandbox):
    got = stream(sandbox, "sandbox/chat", "[[tokens=10 chunk=4 comments=3]]")
    assert len(got.events) == 3 + 2
    assert got.raw.count(b": OPENROUTER PROCESSING\n\n") == 3


def test_metadata_rides_on_the_last_chunk_when_asked_for(sandbox):
    got = stream(sandbox, "openai/gpt-4o", headers={"X-OpenRouter-Metadata": "enabled"})
    assert got.events[-1]["openrouter_metadata"]["requested"] == "openai/gpt-4o"


def test_errors_before_the_first_token_are_plain_json(sandbox):
    got = stream(sandbox, "sandbox/fault-429-retry-after")
    assert (got.status, got.headers["content-type"]) == (429, "application/json")
    assert got.headers["retry-after"] == "1"


def test_pieces_arrive_while_the_answer_is_being_made(sandbox):
    started = time.monotonic()
    with open_raw(sandbox, chat_body("sandbox/chat", "[[tokens=4 delay=0.2]]", stream=True)) as connection:
        read_until(connection, b"data: ")
        assert time.monotonic() - started >= 0.2
        read_until(connection, b"[DONE]")
        assert time.monotonic() - started >= 0.8
    # And none of them waits for the next, which would take longer than anybody reads.
    for piece, wishes in ((b"\r\n\r\n", "first=600"), (b"data: ", "delay=600 first=-599.9")):
        with open_raw(sandbox, chat_body("sandbox/slow-cancellable", f"[[tokens=4 {wishes}]]", stream=True)) as slow:
            read_until(slow, piece)


def test_headers_come_before_a_whole_answer_is_ready(sandbox):
    started = time.monotonic()
    with open_raw(sandbox, chat_body("sandbox/chat", "[[tokens=10 first=0.3]]")) as connection:
        read_until(connection, b'"usage"')
        assert time.monotonic() - started >= 0.3
    with open_raw(sandbox, chat_body("sandbox/slow-cancellable", "[[tokens=10 first=600]]")) as slow:
        assert id_in(read_until(slow, b"\r\n\r\n")).startswith("gen-")


def test_leaving_a_provider_that_can_stop_bills_what_it_made(sandbox):
    with open_raw(sandbox, chat_body("sandbox/slow-cancellable", "[[prompt=100]]", stream=True)) as connection:
        head = read_until(connection, b"\r\n\r\n")
        rest = head + read_until(connection, b'"content":')
        while rest.count(b'"content":') < 5:
            rest += connection.recv(65536)
    record = billed(sandbox, id_in(head))
    assert record["cancelled"] is True
    assert 5 <= record["completion"] < 20
    assert Decimal(record["cost"]) == Decimal("0.0001") + record["completion"] * Decimal("0.000002")
    status, body, _ = sandbox.call("GET", f"/api/v1/generation?id={record['id']}", key=sandbox.settings.api_key)
    assert (status, body["data"]["cancelled"], body["data"]["finish_reason"]) == (200, True, None)
    assert body["data"]["total_cost"] == Decimal(record["cost"])


def test_leaving_any_other_provider_bills_the_whole_answer_when_it_is_finished(sandbox):
    question = "[[prompt=100 tokens=10 delay=0.05]]"
    body = chat_body("sandbox/slow-uncancellable", question, stream=True)
    with open_raw(sandbox, body) as connection:
        head = read_until(connection, b"\r\n\r\n")
        read_until(connection, b'"content":')
    assert sandbox.generations(id=id_in(head)) == []
    record = billed(sandbox, id_in(head))
    assert (record["cancelled"], record["completion"]) == (False, 10)
    assert Decimal(record["cost"]) == Decimal("0.00012")


def test_leaving_before_the_first_token_costs_nothing_where_the_provider_can_stop(sandbox):
    body = chat_body("sandbox/chat", "[[prompt=100 tokens=10 first=2]]", stream=True)
    with open_raw(sandbox, body) as connection:
        head = read_until(connection, b"\r\n\r\n")
    record = billed(sandbox, id_in(head))
    assert (record["cancelled"], record["completion"], Decimal(record["cost"])) == (True, 0, 0)


def test_leaving_a_call_without_stream_is_billed_in_full(sandbox):
    body = chat_body("sandbox/slow-cancellable", "[[prompt=100 tokens=10 delay=0.02]]")
    with open_raw(sandbox, body) as connection:
        head = read_until(connection, b"\r\n\r\n")
    record = billed(sandbox, id_in(head))
    assert (record["cancelled"], record["completion"]) == (False, 10)
    assert Decimal(record["cost"]) == Decimal("0.00012")


@pytest.mark.parametrize("model", ["sandbox/fault-split", "sandbox/fault-crlf"])
def test_bytes_may_be_split_anywhere_and_lines_end_in_cr_lf(sandbox, model):
    text = "[[tokens=52]]"
    plain = stream(sandbox, model, text)
    assert b"\r\n\r\n" in plain.raw
    assert count_tokens(plain.text) == 52
    assert plain.done and plain.whole


def test_a_split_stream_is_cut_inside_characters_and_line_ends(sandbox):
    with open_raw(sandbox, chat_body("sandbox/fault-split", "[[tokens=52]]", stream=True)) as connection:
        raw = read_until(connection, b"0\r\n\r\n")
    _, _, rest = raw.partition(b"\r\n\r\n")
    parts = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        parts.append(rest[:length])
        rest = rest[length + 2 :]
    assert any(part.endswith(b"\r") for part in parts)
    assert any(part[0] & 0xC0 == 0x80 for part in parts if part)
    got = parse_stream(200, {}, b"".join(parts), True)
    assert count_tokens(got.text) == 52

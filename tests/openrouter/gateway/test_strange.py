"""Answers that the provider may give and our stand-in does not: each call is charged what was billed, and nothing that
the customer must not see gets through."""

import gzip
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from core.money import quantize
from openrouter.recovery import recover_calls
from tests.openrouter.gateway.conftest import MARKUP, make_buyer, wait_for
from tests.openrouter.gateway.serving import Answer
from tests.openrouter.gateway.strange import CUT, Script, Strange, answer, start

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "sk-or-v1-0123456789abcdef"
RAW = f'{{"provider_name": "P", "raw": "stack trace {SECRET}"}}'
ERROR = f'{{"code": "server_error", "message": "broken {SECRET}", "metadata": {RAW}}}'


def told(usage: str = "", *, id: str = "gen-1", finish: str = '"stop"', text: str = "Hi", choice: str = "") -> str:
    """An answer in one piece; ``usage`` and ``choice`` are JSON text, so that numbers stay as they are written."""
    usage = f', "usage": {{{usage}}}' if usage else ""
    return (
        f'{{"id": "{id}", "model": "openai/gpt-4o-mini", "provider": "P", "x_new": {{"a": [1]}}, '
        f'"choices": [{{"index": 0, "message": {{"role": "assistant", "content": "{text}"}}, '
        f'"finish_reason": {finish}{choice}}}]{usage}}}'
    )


def chunk(usage: str = "", *, finish: str = "null", text: str = "Hi", choice: str = "", more: str = "") -> str:
    usage = f', "usage": {{{usage}}}' if usage else ""
    return (
        f'data: {{"id": "gen-1", "model": "openai/gpt-4o-mini", "provider": "P", "choices": [{{"index": 0, '
        f'"delta": {{"content": "{text}"}}, "finish_reason": {finish}{choice}}}]{usage}{more}}}'
    )


def sse(*events: str, end: str = "\n\n") -> bytes:
    return ("\n\n".join(events) + end).encode()


COUNTS = '"prompt_tokens": 3, "completion_tokens": 2'
PAID = f'{COUNTS}, "cost": 0.0001'
STOP = chunk(finish='"stop"', text="")
LAST = chunk(PAID, finish='"stop"', text="")
LIMIT = '{"error": {"code": 403, "message": "Key limit", "metadata": {"limit_source": "openrouter_key_limit"}}}'
BUSY = '{"error": {"code": 429, "message": "slow down", "availability": {"retryable": true, "retry_after": 0}}}'


@dataclass
class Cell:
    """A script, how it is called, and the status for the client; ``shows``: words in the answer."""

    script: Script
    streamed: bool
    status: int = 200
    shows: tuple[str, ...] = ()
    hides: tuple[str, ...] = ()
    seconds: float = 25
    buyer: Any = None
    answer: Answer | None = None
    took: float = 0


def whole(*steps, status=200, shows=(), hides=(), **fields) -> Cell:
    requests = steps if steps and isinstance(steps[0], list) else [list(steps)]
    return Cell(Script(list(requests), **fields), False, status, shows, hides)


def streamed(*steps, status=200, shows=(), hides=(), **fields) -> Cell:
    requests = steps if steps and isinstance(steps[0], list) else [list(steps)]
    return Cell(Script(list(requests), **fields), True, status, shows, hides)


CELLS: dict[str, Cell] = {
    "cost in exponents": whole(answer(told(f'{COUNTS}, "cost": 7.434E-07')), bill="7.434e-07"),
    "cost with more places than money has": whole(
        answer(told(f'{COUNTS}, "cost": 0.0000012345678901234567890123456789')),
        bill="0.0000012345678901234567890123456789",
    ),
    "cost beyond all reason": whole(
        answer(told('"prompt_tokens": 1e30, "completion_tokens": 9e99, "cost": 1e400', id="gen-far")),
        bill="0.0003",
        record={},
        id="gen-far",
    ),
    "a fee for the customer's own credential": whole(
        answer(told(f'{COUNTS}, "cost": 0, "is_byok": true, "cost_details": {{"upstream_inference_cost": 3.1e-3}}')),
    ),
    "half a character": whole(answer(told(PAID, text="\\ud83d")), bill="0.0001", shows=("\\ud83d",)),
    "numbers that are none": whole(
        answer(told(f'{PAID}, "odd": -Infinity', text="NaN", choice=', "logprobs": {"content": [{"logprob": NaN}]}')),
        bill="0.0001", shows=('"content": "NaN"', '"logprob": null', '"odd": null'),
    ),
    "a cost that is none": whole(
        answer(told(f'{COUNTS}, "cost": NaN')), bill="0.00000165", shows=('"cost": null',),  # by the price list
    ),
    "an odd id, an odd provider": whole(
        answer(told(PAID, id="gen\\u0000\\r\\nx-odd: 1").replace('"P"', '"P\\u0000"')), bill="0.0001"
    ),
    "an error in two pieces": whole(
        answer(LIMIT, "403 Forbidden")[:-40], 0.1, answer(LIMIT)[-40:], status=503, hides=("Key limit",)
    ),
    "the id in the header is the handle": whole(
        answer(told(id="chatcmpl-7"), x_generation_id="gen-head"), bill="0.0002", record={}, id="gen-head", absent=2
    ),
    "a record that calls its cost usage": whole(
        answer(told(id="gen-usage")), bill="0.0002", record={"usage": 0.0002}, id="gen-usage"
    ),
    "an earlier try's id is not the last one's": whole(
        [answer("{}", "503 Busy", x_generation_id="gen-early", retry_after="0")],
        [CUT],
        status=502,
        bill="0.0004",
        id="gen-early",
    ),
    "empty without a reason": whole(
        answer(told('"prompt_tokens": 900, "completion_tokens": 0', finish="null", id="gen-empty", text="")),
        record={},
        id="gen-empty",
        absent=1,
    ),
    "an error with its bill": whole(
        answer(f'{{"error": {ERROR}, "user_id": "user_2abcdefgh", "usage": {{{PAID}}}}}'),
        status=502,
        bill="0.0001",
        hides=(SECRET, "stack trace", "user_2"),
    ),
    "an error in a choice": whole(
        answer(told(PAID, finish='"error"', choice=f', "error": {ERROR}')),
        bill="0.0001",
        shows=("Hi", "server_error"),
        hides=(SECRET, "stack trace"),
    ),
    "a page instead of an answer": whole(answer("<html>sorry</html>", type="text/html"), status=502),
    "cut within the headers": whole(b"HTTP/1.1 200 OK\r\ncontent-", CUT, status=502, bill="0.0007"),
    "cut within the body": whole(answer(told(PAID))[:-9], CUT, status=502, bill="0.0007"),
    "told to come back in part of a second": whole(
        [answer("{}", "429 Too Many Requests", retry_after="0.05")],
        [answer("<html>", "502 Bad Gateway", type="text/html", retry_after="Fri, 01 Jan 2021 00:00:00 GMT")],
        [answer(told(PAID))],
        bill="0.0001",
    ),
    "told in the body when to come back": whole(
        [answer(BUSY, "429 Too Many Requests")], [answer(told(PAID))], bill="0.0001"
    ),
    "sent elsewhere": whole(answer("", "307 Temporary Redirect", location="http://127.0.0.1:9/"), status=502),
    "compressed although that was not asked for": whole(
        answer(gzip.compress(told(PAID).encode()), content_encoding="gzip"), bill="0.0001", shows=("Hi",)
    ),
    "slow": whole(1.5, answer(told(PAID)), bill="0.0001"),
    "comments, then pieces of events": streamed(
        start(), b": OPENROUTER PROCESSING\n\n" * 50, sse(chunk())[:-20], 0.05, sse(chunk())[-20:], 0.05,
        sse(LAST, "data: [DONE]"),
        bill="0.0001", shows=("[DONE]", "charge=0.00011"),
    ),
    "an end mark without a blank line": streamed(
        start(), sse(chunk(), LAST, "data: [DONE]", end="\n"), bill="0.0001", shows=("[DONE]", "charge=0.00011")
    ),
    "usage at the very end, without a line end": streamed(
        start(), sse(chunk(), STOP, LAST, end=""), bill="0.0001", shows=("completion_tokens",), hides=("upstream_no",)
    ),
    "usage without choices": streamed(
        start(), sse(chunk(), STOP, f'data: {{"choices": [], "usage": {{{PAID}}}}}', "data: [DONE]"), bill="0.0001"
    ),
    "usage without a cost after one with": streamed(
        start(), sse(chunk(), LAST, chunk(COUNTS, text=""), 'data: {"choices": [], "usage": {}}', "data: [DONE]"),
        bill="0.0001", shows=("charge=0.00011",),
    ),
    "numbers that are none in a stream": streamed(
        start(), sse(chunk(), chunk(choice=', "x": NaN'), LAST[:-1] + ', "odd": -Infinity}', "data: [DONE]"),
        bill="0.0001", shows=('"x": null', '"odd": null', "charge=0.00011"), hides=("NaN", "Infinity"),
    ),
    "an end mark, and no end": streamed(start(), sse(LAST, "data: [DONE]"), 20, bill="0.0001", shows=("[DONE]",)),
    "an answer in one piece": streamed(answer(told(PAID)), bill="0.0001", shows=("Hi",)),
    "an error instead of a stream": streamed(
        answer(f'{{"error": {ERROR}}}', x_generation_id="gen-none"), record={}, id="gen-none",
        status=502, hides=(SECRET,),
    ),
    "usage so far, and the connection ends": streamed(
        start(x_generation_id="gen-so-far"),
        sse(chunk(PAID), chunk(f'{COUNTS}, "cost": 0.0002')),
        bill="0.0009", record={}, id="gen-so-far", absent=3, shows=("upstream_no_answer",), hides=("[DONE]",),
    ),
    "an error after usage": streamed(
        start(x_generation_id="gen-after"),
        sse(chunk(PAID), chunk(finish='"error"', more=f', "error": {ERROR}, "user_id": "user_2abcdefgh"')),
        record={}, id="gen-after", shows=("server_error",), hides=(SECRET, "stack trace", "user_2", "[DONE]"),
    ),
    "an error without choices": streamed(
        start(x_generation_id="gen-bare"), sse(chunk(), f'data: {{"error": {ERROR}}}'),
        bill="0.0005", record={}, id="gen-bare", shows=("server_error",), hides=(SECRET, "stack trace", "[DONE]"),
    ),
    "an error in a choice of a stream": streamed(
        start(), sse(chunk(), chunk(PAID, finish='"error"', choice=f', "error": {ERROR}'), "data: [DONE]"),
        bill="0.0001", shows=("server_error",), hides=(SECRET, "stack trace"),
    ),
    "an error of a stream without a word": streamed(
        start(), sse(chunk(), chunk(PAID, finish='"error"', text=""), "data: [DONE]"), bill="0.0001", shows=("[DONE]",),
    ),
    "reset before the first byte": streamed(start(), 0.05, CUT, bill="0.0007", shows=("upstream_no_answer",)),
}  # fmt: skip


@pytest.fixture(scope="module")
def results(world, served, sandbox, django_db_blocker) -> dict[str, Cell]:
    """Run every cell at once, then recover as an hour later."""
    upstream = Strange({name: cell.script for name, cell in CELLS.items()})
    with django_db_blocker.unblock():
        for cell in CELLS.values():
            cell.buyer = make_buyer(served, sandbox)
        changed = {
            "GATEWAY_PROVIDER_LAG_SECONDS": 0,
            "OPENROUTER_BASE_URL": upstream.base_url,
            "OPENROUTER_MANAGEMENT_KEY": "any",
        }
        with override_settings(**changed), ThreadPoolExecutor(len(CELLS)) as pool:
            list(pool.map(_run, CELLS, CELLS.values()))
            named = [cell for cell in CELLS.values() if cell.script.record is not None]
            wait_for(lambda: all(cell.buyer.holds[0].status == "settled" for cell in named))
            recover_calls(at=timezone.now() + timedelta(hours=1), at_once=True)
        connection.close()
    yield CELLS
    upstream.stop()


def _run(name: str, cell: Cell) -> None:
    began = time.monotonic()
    cell.answer = cell.buyer.chat("openai/gpt-4o-mini", name, stream=cell.streamed, max_tokens=5000)
    cell.took = time.monotonic() - began


@pytest.mark.parametrize("name", CELLS)
def test_what_was_billed_is_charged(name, results):
    cell = results[name]
    buyer, billed = cell.buyer, Decimal(cell.script.bill)
    assert [hold.status for hold in buyer.holds] == ["settled"]
    assert buyer.event.charge == quantize(billed * (1 + MARKUP))
    assert (buyer.account.held, buyer.account.balance) == (0, 10 - buyer.event.charge)
    assert len(buyer.charges) == (billed > 0)
    assert cell.answer.status == cell.status, cell.answer.body
    text = cell.answer.body.decode() + str(cell.answer.headers)
    for words in cell.shows:
        assert words in text
    for words in cell.hides:
        assert words not in text
    assert "x-odd" not in cell.answer.headers
    assert cell.took < cell.seconds
    if cell.status != 200:
        assert cell.answer.error["code"] == cell.status


@pytest.mark.parametrize("name", [name for name in CELLS if name.startswith("an error ") and CELLS[name].status == 200])
def test_an_answer_that_ends_in_an_error_counts_as_a_part(name, results):
    assert results[name].buyer.event.status == "partial"

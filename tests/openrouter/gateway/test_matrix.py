"""Every kind of answer, every shape of usage, every way to leave and every fault, streamed and not.

All cells run at once against one gateway; then each is held to the same rules: charged = billed by the provider × (1 +
markup), nothing held, one settlement, the right status. Every two values meet in some cell; with ``WHOLE_MATRIX=1``
every combination is a cell.
"""

import contextlib
import http.client
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.utils import timezone

from credits.models import Hold
from openrouter.recovery import recover_calls
from tests.openrouter.gateway.conftest import MARKUP, make_buyer, wait_for
from tests.openrouter.gateway.serving import Answer

pytestmark = pytest.mark.django_db(transaction=True)

# What answers look like: model, directives, further members of the request.
SHAPES: dict[str, tuple[str, str, dict]] = {
    "normal": ("openai/gpt-4o-mini", "tokens=24", {}),
    "length": ("openai/gpt-4o-mini", "tokens=90", {"max_tokens": 40}),
    "tool call": ("sandbox/tool", "tokens=10", {}),
    "reasoning": ("sandbox/reasoning", "tokens=24", {}),
    "cached": ("sandbox/cached", "prompt=1000 cached=600 written=100 tokens=200", {"max_tokens": 200}),
    "per request": ("sandbox/per-request", "tokens=24", {}),
    "free": ("sandbox/chat:free", "tokens=24", {}),
    "zero-priced": ("sandbox/zero-priced", "tokens=24", {}),
    "auto router": (
        "openrouter/auto",
        "tokens=24",
        {"max_tokens": 50, "provider": {"max_price": {"prompt": 1, "completion": 2}}},
    ),
    "long context": ("x-ai/grok-4-fast", "prompt=130000 tokens=24", {"max_tokens": 50, "_pad": 140_000}),
    "search": ("sandbox/search", "tokens=24 searches=2", {"plugins": [{"id": "web", "max_uses": 2}]}),
    "picture made": ("sandbox/image-out", "tokens=4 images=1", {"modalities": ["image", "text"]}),
    "service tier": ("openai/gpt-5", "tokens=24 reasoning=8", {"service_tier": "flex", "max_tokens": 64}),
}
USAGE = ("", "cost-absent", "usage-absent", "usage-twice", "usage-null", "usage-zero", "cost-null", "usage-openai")
# The same shapes where the provider stops, and stops billing, when its connection is closed, and where it does not.
CANCELLABLE: dict[str, tuple[str, str]] = {
    "normal": ("openai/gpt-4o-mini", "tokens=24"),
    "length": ("openai/gpt-4o-mini", "tokens=90"),
    "tool call": ("openai/gpt-4o-mini", "tool tokens=10"),
    "reasoning": ("openai/gpt-5-mini", "tokens=12 reasoning=12"),
    "cached": ("anthropic/claude-haiku-4.5", "prompt=1000 cached=600 written=100 tokens=40"),
    "per request": ("sandbox/per-request", "tokens=24"),
    "free": ("sandbox/chat:free", "tokens=24"),
    "zero-priced": ("sandbox/zero-priced", "tokens=24"),
    "auto router": ("openrouter/auto", "tokens=24"),
}
HEARD_OUT: dict[str, tuple[str, str]] = {
    "normal": ("mistralai/mistral-large-2512", "tokens=24"),
    "length": ("mistralai/mistral-large-2512", "tokens=90"),
    "tool call": ("mistralai/mistral-large-2512", "tool tokens=10"),
    "reasoning": ("perplexity/sonar-reasoning-pro", "tokens=12 reasoning=12"),
    "cached": ("anthropic/claude-haiku-4.5", "prompt=1000 cached=600 written=100 tokens=40 endpoint=1"),
    "per request": ("perplexity/sonar", "tokens=24"),
    "free": ("openai/gpt-oss-20b:free", "tokens=24"),
    "zero-priced": ("openrouter/sherlock-dash-alpha", "tokens=24"),
}
PROVIDERS = {"cancellable": CANCELLABLE, "heard out": HEARD_OUT}
LEAVING = ("before the first byte", "in the middle", "at the end")
# Every shape with every answer and every way to leave takes some minutes; without, every two of them meet somewhere.
EVERYTHING = bool(os.environ.get("WHOLE_MATRIX"))

# Status for the client of a call that is not streamed; "cut" when the answer breaks off.
REFUSED: dict[str, int] = {
    "400": 400,
    "400-context": 400,
    "401": 503,
    "402-credits": 503,
    "402-weight": 503,
    "402-in-flight": 503,
    "402-key-limit": 503,
    "403-moderation": 403,
    "403-key-limit": 503,
    "403-guardrail": 503,
    "403-workspace": 503,
    "404": 404,
    "408": 408,
    "409": 409,
    "413": 413,
    "422": 422,
    "429": 429,
    "429-retry-after": 429,
    "500": 500,
    "502": 502,
    "502-html": 502,
    "503": 503,
    "503-retry-after": 503,
    "504": 504,
    "524": 524,
    "529": 529,
    "408-billed": 408,
    "524-billed": 524,
    "reset": 502,
    "hang": 504,
    "hang-billed": 504,
    "reset-after": 502,
}
# Fault: (status without streaming, status with streaming, whether the stream must show an error)
SPOILED: dict[str, tuple[int, int, bool]] = {
    "slow-headers": (200, 200, False),
    "200-error": (502, 502, False),
    "choice-error": (200, 200, True),
    "sse-error": (200, 200, True),
    "sse-error-text-code": (200, 200, True),
    "cut-before": (502, 200, True),
    "cut-mid": (502, 200, True),
    "cut-billed": (502, 200, True),
    "reset-mid": (502, 200, True),
    "hang-mid": (504, 200, True),
    "empty": (200, 200, False),
    "no-done": (200, 200, False),
    "split": (200, 200, False),
    "crlf": (200, 200, False),
    "keepalive": (200, 200, False),
    "overrun": (200, 200, False),
    "wrong-model": (200, 200, False),
    "extra-fields": (200, 200, False),
    "generation-late": (200, 200, False),
    "generation-never": (200, 200, False),
}


FAULTS = (*REFUSED, *SPOILED)


@dataclass
class Cell:
    name: str
    model: str
    text: str
    streamed: bool
    status: int
    fields: dict[str, Any] = field(default_factory=dict)
    leaving: str = ""
    shows_error: bool = False
    sees_end: bool = True
    has_charge: bool = True
    buyer: Any = None
    answer: Answer | None = None


def _cells() -> Iterator[Cell]:
    for how in ("json", "stream"):
        for shape in SHAPES:
            for usage in USAGE if shape in CANCELLABLE else ("",):
                yield _cell(how, shape, usage)
        for turn, (shape, fault) in _turns(FAULTS):
            if EVERYTHING or turn % len(CANCELLABLE) == (4 if how == "stream" else 0):
                yield _cell(how, shape, fault)
        for turn, (shape, answer) in _turns((*USAGE, *FAULTS) if EVERYTHING else USAGE[:6]):
            ways = [(leaving, who) for leaving in LEAVING for who in PROVIDERS if shape in PROVIDERS[who]]
            for leaving, who in ways if EVERYTHING else [ways[turn % len(ways)]]:
                yield _leaver(how, shape, leaving, who, answer)


def _turns(answers: tuple[str, ...]) -> Iterator[tuple[int, tuple[str, str]]]:
    """Shapes with answers, and whose turn it is: along each row and each column every turn comes."""
    for (row, shape), (column, answer) in itertools.product(enumerate(CANCELLABLE), enumerate(answers)):
        yield row + column, (shape, answer)


def _cell(how: str, shape: str, answer: str) -> Cell:
    """A call whose client stays."""
    model, wishes, fields = SHAPES[shape]
    streamed = how == "stream"
    status, shows_error = 200, False
    if answer in REFUSED:
        status = REFUSED[answer]
    elif answer in SPOILED:
        plain, in_stream, shows_error = SPOILED[answer]
        status = in_stream if streamed else plain
    return Cell(
        f"{how}, {shape}, {answer or 'usage'}",
        model,
        _asking(wishes, answer),
        streamed,
        status,
        fields if answer in USAGE else {"max_tokens": 250, **fields},
        shows_error=streamed and shows_error,
        sees_end=answer != "no-done",
    )


def _leaver(how: str, shape: str, leaving: str, who: str, answer: str) -> Cell:
    """A call whose client leaves."""
    model, wishes = PROVIDERS[who][shape]
    wait = "first=1 delay=0.01" if leaving == "before the first byte" else "delay=0.02"
    return Cell(
        f"{how}, {shape}, {answer or 'usage'}, client leaves {leaving}, provider {who}",
        model,
        _asking(f"{wishes} {wait}", answer),
        how == "stream",
        200,
        SHAPES[shape][2] if answer in USAGE else {"max_tokens": 60, **SHAPES[shape][2]},
        leaving=leaving,
    )


def _asking(wishes: str, answer: str) -> str:
    return f"[[{wishes} fault={answer}]]" if answer else f"[[{wishes}]]"


CELLS = {cell.name: cell for cell in _cells()}


@pytest.fixture(scope="module")
def results(request, world, served, sandbox, django_db_blocker) -> dict[str, Cell]:
    """Run every cell that is asked for, recover what has to be, and hand them out with what became of them."""
    names = {item.callspec.params["name"] for item in request.session.items if item.path == request.path}
    cells = {name: CELLS[name] for name in names}
    upstream = {
        "OPENROUTER_BASE_URL": sandbox.base_url,
        "OPENROUTER_API_KEY": sandbox.settings.api_key,
        "OPENROUTER_MANAGEMENT_KEY": sandbox.settings.management_key,
        "OPENROUTER_SANDBOX_URL": sandbox.base_url,
        "OPENROUTER_SANDBOX_API_KEY": sandbox.settings.api_key,
        "OPENROUTER_SANDBOX_MANAGEMENT_KEY": sandbox.settings.management_key,
        "GATEWAY_IDLE_SECONDS": 4.0,
        "GATEWAY_RETRY_SECONDS": 0.5,
        "GATEWAY_PROVIDER_LAG_SECONDS": 0,
    }
    with django_db_blocker.unblock(), override_settings(**upstream):
        for cell in cells.values():
            cell.buyer = make_buyer(served, sandbox)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(_run, cells.values()))
        _settle_all(cells)
        connection.close()
    return cells


def _run(cell: Cell) -> None:
    fields = dict(cell.fields)
    text = cell.text + "x" * fields.pop("_pad", 0)
    if cell.leaving:
        _leave(cell, text, fields)
        return
    cell.answer = cell.buyer.chat(cell.model, text, stream=cell.streamed, **fields)
    connection.close()


def _leave(cell: Cell, text: str, fields: dict) -> None:
    """Ask, and close the connection at some moment."""
    running = cell.buyer.open_stream(cell.model, text, **{**fields, "stream": cell.streamed})
    with contextlib.suppress(TimeoutError, http.client.HTTPException, OSError):
        if cell.leaving == "before the first byte":
            wait_for(lambda: _is_under_way(cell.buyer))
        elif not cell.streamed:
            running.sock.recv(1)
        else:
            response = running.getresponse()
            needed = 3 if cell.leaving == "in the middle" else 10_000
            seen = 0
            while seen < needed and (line := response.readline()):
                seen += line.startswith(b"data:")
                if b"[DONE]" in line:
                    break
    running.close()


def _is_under_way(buyer: Any) -> bool:
    """Whether the provider has the call."""
    return any("generation" in hold.context or hold.status != "open" for hold in buyer.holds)


def _settle_all(cells: dict[str, Cell]) -> None:
    """Wait for what the gateway looks up by itself; the rest is recovered as an hour later."""
    looked_up = Hold.objects.open().filter(purpose="gateway").exclude(context__generation__isnull=True)
    looked_up = looked_up.exclude(context__generation="")
    never = [cell.buyer.organization.pk for cell in cells.values() if "generation-never" in cell.text]
    wait_for(lambda: not looked_up.exclude(account_id__in=never).exists())
    recover_calls(at=timezone.now() + timedelta(hours=1), at_once=True)


@pytest.mark.parametrize("name", CELLS)
def test_a_call_is_charged_what_was_billed_whatever_happens(name, results):
    cell = results[name]
    buyer = cell.buyer
    generations = buyer.generations
    billed = sum((Decimal(made["cost"]) for made in generations), Decimal(0))
    assert buyer.account.held == 0
    [hold] = buyer.holds
    assert hold.status == "settled"
    event = buyer.event
    assert event.charge == billed * (1 + MARKUP)
    assert event.provider_cost == billed
    assert [-entry.amount for entry in buyer.charges] == ([event.charge] if event.charge else [])
    assert buyer.account.balance == 10 - event.charge
    assert sum(attempt.cost or 0 for attempt in buyer.attempts) == billed
    assert len(generations) <= 1
    _check_answer(cell)


def _check_answer(cell: Cell) -> None:
    answer = cell.answer
    if answer is None:
        return
    assert answer.status == cell.status, answer.body[:300]
    if answer.status != 200:
        error = answer.error
        assert error["code"] == answer.status
        assert error["message"]
        assert error["type"]
        assert b"sk-or-" not in answer.body
        assert b"user_2" not in answer.body
        assert "raw" not in error["metadata"]
        return
    if not cell.streamed:
        assert answer.json["choices"]
        return
    events = answer.events
    shown = [event for event in events if isinstance(event, dict) and event.get("error")]
    assert bool(shown) == cell.shows_error
    assert b"user_2" not in answer.body
    assert (events[-1] == "[DONE]") == (cell.sees_end and not cell.shows_error)

"""The body of an ingest request: read fast when all is well, and problem by problem when something is not.

All or nothing: one event that does not fit refuses the batch, with every problem of every event in one answer.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from billing_api.errors import Place, Problem, RequestInvalid
from billing_api.event_shapes import EventIn, EventsIngest, RawEvents
from billing_api.wire import EARLIEST, decimal_of, decoder, not_json, problem_of, refuse_nul

# Clocks differ; the Python helper sends its own. Whatever lies further ahead is a mistake.
CLOCK_SKEW = timedelta(seconds=60)
LONGEST_TEXT = 500
_LARGEST_INTEGER = 2**63
_LARGEST_EXPONENT = 308  # of a double, which is what clients read numbers into
_LLM_REQUIRED = {"vendor": str, "model": str, "input_tokens": int, "output_tokens": int, "total_tokens": int}
_LLM_OPTIONAL = {"cached_input_tokens": int, "prompt": str, "response": str}
_SIMPLE = "Values are strings, integers, numbers or booleans."


def read_events(body: bytes, at: datetime) -> list[EventIn]:
    """The events of a body received at ``at``. Raises RequestInvalid with all problems."""
    refuse_nul(body)
    try:
        events = decoder(EventsIngest).decode(body).events
    except msgspec.ValidationError:
        return _refuse_each(body, at)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from None
    problems = [problem for index, event in enumerate(events) for problem in _problems(index, event, at)]
    if problems:
        raise RequestInvalid(problems)
    return events


def _raw_events(body: bytes) -> list[msgspec.Raw]:
    try:
        raw: list[msgspec.Raw] = decoder(RawEvents).decode(body).events
    except msgspec.ValidationError as error:
        raise RequestInvalid([problem_of(error, ["body"])]) from None
    return raw


def _refuse_each(body: bytes, at: datetime) -> list[EventIn]:
    """Read event by event; always ends in a refusal, or the whole would have been read."""
    try:
        raise RequestInvalid(_problems_of_each(_raw_events(body), at))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # What is no JSON may stand behind the first event that does not fit.
        raise not_json(error) from None


def _problems_of_each(raw: list[msgspec.Raw], at: datetime) -> list[Problem]:
    problems: list[Problem] = []
    for index, text in enumerate(raw):
        try:
            event = decoder(EventIn).decode(text)
        except msgspec.ValidationError as error:
            problems.append(problem_of(error, ["body", "events", index]))
        else:
            problems.extend(_problems(index, event, at))
    return problems


def _problems(index: int, event: EventIn, at: datetime) -> Iterator[Problem]:
    """What is wrong with an event whose fields have the right types; checks without a fault cost next to nothing."""
    if (event.customer_id is None) == (event.external_customer_id is None):
        words = "Name exactly one of customer_id and external_customer_id."
        yield Problem(["body", "events", index], words, "missing" if event.customer_id is None else "value_error")
    if event.timestamp is not None and event.timestamp > at + CLOCK_SKEW:
        yield Problem(
            ["body", "events", index, "timestamp"], "Timestamp must be in the past.", "timestamp", event.timestamp
        )
    if event.timestamp is not None and event.timestamp < EARLIEST:
        # One such row could be stored, and no list that it is in could be read again.
        where: Place = ["body", "events", index, "timestamp"]
        yield Problem(where, "The time is out of range.", "out_of_range", event.timestamp)
    for key, value in event.metadata.items():
        if (wrong := _wrong(key, value)) is not None:
            yield Problem(["body", "events", index, "metadata", key], wrong, "metadata")


def _wrong(key: str, value: Any) -> str | None:
    """What is wrong with a value of an event's metadata."""
    kind = type(value)
    if key[0] == "_" and (reads := _OBJECTS.get(key)) is not None:
        return reads(value)
    if kind is str:
        return None if len(value) <= LONGEST_TEXT else f"Text of at most {LONGEST_TEXT} characters."
    if kind is bool:
        return None
    if kind is int:
        return None if -_LARGEST_INTEGER <= value < _LARGEST_INTEGER else "Integers have at most 64 bits."
    if kind is Decimal:
        return None if _is_a_double(value) else "The number is too large or too small."
    return _SIMPLE


def _is_a_double(value: Decimal) -> bool:
    return not value or (value.is_finite() and -_LARGEST_EXPONENT <= value.adjusted() < _LARGEST_EXPONENT)


def _wrong_cost(value: Any) -> str | None:
    if not isinstance(value, dict) or set(value) - {"amount", "currency"}:
        return "A cost has an amount (in cents) and a currency."
    if value.get("currency", "usd") != "usd":
        return 'The currency must be "usd".'
    amount = decimal_of(value.get("amount"))
    if amount is None:
        return "The amount is a number of cents."
    digits, places = len(amount.as_tuple().digits), -int(amount.as_tuple().exponent)
    return None if max(digits, places) <= 17 and places <= 12 and amount.adjusted() < 17 else "17 digits, 12 decimals."


def _wrong_llm(value: Any) -> str | None:
    if not isinstance(value, dict):
        return "_llm is an object."
    for name, kind in (_LLM_REQUIRED | _LLM_OPTIONAL).items():
        given = value.get(name)
        if given is None and (name in value or name in _LLM_REQUIRED) and name not in _LLM_OPTIONAL:
            return f"_llm needs {name}."
        if given is None:
            continue
        if type(given) is not kind:
            return f"{name} of _llm has the wrong type."
        if isinstance(given, int) and not 0 <= given < 2**31:
            return f"{name} of _llm is a number of tokens."
    unknown = set(value) - set(_LLM_REQUIRED) - set(_LLM_OPTIONAL)
    return f"_llm has no {min(unknown)[:40]}." if unknown else None


# What is an object with a shape of its own, and nothing else.
_OBJECTS: dict[str, Callable[[Any], str | None]] = {"_cost": _wrong_cost, "_llm": _wrong_llm}

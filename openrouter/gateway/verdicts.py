"""What an upstream error means: for the customer, for a second try, for the money, for the operator. One table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from core.jsonio import with_whole_characters
from core.redaction import redact
from openrouter.gateway.errors import DO_NOT_RETRY, CallRefused
from openrouter.retry_after import seconds_to_wait

_ACCOUNT_ID = re.compile(r"\b(user|org|acct)_[A-Za-z0-9]{8,}")
_LONGEST_MESSAGE = 500
# What the customer may see of ``error.metadata``; the provider's raw text is not among it.
_SHOWN = ("provider_name", "reasons", "flagged_input", "model_slug")
_IN_FLIGHT = {"openrouter_in_flight_budget", "in_flight_budget_exhausted"}


@dataclass(frozen=True, slots=True)
class Rule:
    """``status`` and ``type`` as the customer sees them; ``tries`` in total; whether it ``may_be_billed``."""

    status: int
    type: str
    tries: int = 1
    may_be_billed: bool = False


_ANY = 99
_RULES: dict[int, Rule] = {
    400: Rule(400, "invalid_request"),
    404: Rule(404, "model_not_found"),
    408: Rule(408, "upstream_timeout", may_be_billed=True),
    409: Rule(409, "conflict"),
    413: Rule(413, "payload_too_large"),
    422: Rule(422, "unprocessable_request"),
    429: Rule(429, "rate_limited_upstream", tries=_ANY),
    499: Rule(502, "upstream_no_answer", may_be_billed=True),
    500: Rule(500, "upstream_error", tries=2),
    502: Rule(502, "upstream_error", tries=_ANY),
    503: Rule(503, "upstream_overloaded", tries=_ANY),
    504: Rule(504, "upstream_timeout", may_be_billed=True),
    524: Rule(524, "upstream_timeout", may_be_billed=True),
    529: Rule(529, "upstream_overloaded", tries=_ANY),
}
_OTHER_CLIENT_ERROR = Rule(400, "invalid_request")
_ELSEWHERE = Rule(502, "upstream_error")  # a redirect: nobody there has served anything
_OTHER = Rule(502, "upstream_error", may_be_billed=True)
_ACCOUNT = Rule(503, "provider_account_unavailable")
_OWN_KEY = Rule(403, "own_key_refused")
_FORBIDDEN = Rule(403, "permission_denied")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One upstream error, judged. ``alert`` is what the operator must be told, empty for nothing."""

    refusal: CallRefused
    error_type: str
    tries: int
    retry_after: float | None
    may_be_billed: bool
    alert: str = ""


def judge(status: int, body: bytes, retry_after: str, *, own_key: bool) -> Verdict:
    """What an error answer means. ``own_key``: the call was made with the customer's own provider key."""
    error = _error_member(body)
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    availability = error.get("availability")
    error_type = str(metadata.get("error_type") or "")[:60]
    limit_source = str(metadata.get("limit_source") or "")
    seconds = seconds_to_wait(retry_after)
    if seconds is None and isinstance(availability, Mapping):
        seconds = seconds_to_wait(availability.get("retry_after"))
    rule, alert, tries = _rule_of(status, limit_source), "", None
    if rule is _ACCOUNT:
        # Only the in-flight budget frees itself: the same call may pass after the delay.
        frees_itself = _IN_FLIGHT & {limit_source, str(metadata.get("reason") or "")}
        tries = _ANY if frees_itself and seconds is not None else 1
        if own_key:
            rule = _OWN_KEY
        else:
            alert = f"{status} {limit_source or error_type}".strip()
    if isinstance(availability, Mapping) and availability.get("retryable") is False:
        tries = 1
    return Verdict(
        refusal=CallRefused(
            rule.status,
            _message(rule, error, own_key=own_key),
            rule.type,
            metadata=_shown(metadata, error_type) if rule is not _ACCOUNT else {},
            retry_after=seconds,
            headers=(DO_NOT_RETRY,) if rule.may_be_billed else (),
        ),
        error_type=error_type or rule.type,
        tries=rule.tries if tries is None else tries,
        retry_after=seconds,
        may_be_billed=rule.may_be_billed,
        alert=alert,
    )


def judge_reported(error: Any, *, own_key: bool) -> Verdict:
    """The same for an error inside an answer with status 200. Whether it was billed the answer does not tell."""
    error = error if isinstance(error, Mapping) else {"message": str(error)}
    code = error.get("code")
    code = int(code) if isinstance(code, str) and code.isdecimal() and len(code) == 3 else code
    status = code if isinstance(code, int) and 400 <= code < 600 else 502
    verdict = judge(status, msgspec.json.encode({"error": error}), "", own_key=own_key)
    refusal = verdict.refusal
    if DO_NOT_RETRY not in refusal.headers:
        refusal.headers += (DO_NOT_RETRY,)
    return Verdict(refusal, verdict.error_type, 1, None, True, verdict.alert)


def never_connected() -> Verdict:
    """No connection came about: nothing was sent, nothing billed."""
    refusal = CallRefused(502, "The model provider cannot be reached at the moment.", "upstream_unreachable")
    return Verdict(refusal, "unreachable", _ANY, None, may_be_billed=False)


def no_answer(reason: str) -> Verdict:
    """The request was sent and its answer did not arrive: what became of it is found out later."""
    timed_out = reason == "timeout"
    refusal = CallRefused(
        504 if timed_out else 502,
        "The model provider did not answer in time." if timed_out else "The model provider broke off the connection.",
        "upstream_timeout" if timed_out else "upstream_no_answer",
        headers=(DO_NOT_RETRY,),
    )
    return Verdict(refusal, reason, 1, None, may_be_billed=True)


def broken_answer() -> Verdict:
    """A success whose body cannot be read."""
    refusal = CallRefused(502, "The model provider's answer was incomplete.", "upstream_error", headers=(DO_NOT_RETRY,))
    return Verdict(refusal, "broken_answer", 1, None, may_be_billed=True)


def shown_error(error: Any, *, own_key: bool) -> dict[str, Any]:
    """An error within an answer as the customer sees it."""
    verdict = judge_reported(error, own_key=own_key)
    document = verdict.refusal.document()
    code = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(code, str | int):
        document["code"] = code  # the provider's own, whatever its kind
    return document


def shown_answer(data: bytes, *, own_key: bool) -> bytes:
    """An answer, or a piece of a stream, whose errors hold only what the customer may see."""
    document = msgspec.json.decode(with_whole_characters(data).decode(errors="replace"))
    document.pop("user_id", None)
    if document.get("error"):
        document["error"] = shown_error(document["error"], own_key=own_key)
    choices = document.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("error"):
            choice["error"] = shown_error(choice["error"], own_key=own_key)
    return msgspec.json.encode(document)


def _rule_of(status: int, limit_source: str) -> Rule:
    if status in (401, 402) or (limit_source and status in (403, 429)):
        return _ACCOUNT
    if status == 403:
        return _FORBIDDEN
    known = _RULES.get(status)
    if known is not None:
        return known
    if 300 <= status < 400:
        return _ELSEWHERE
    return _OTHER_CLIENT_ERROR if 400 <= status < 500 else _OTHER


def _error_member(body: bytes) -> Mapping[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {}


def _message(rule: Rule, error: Mapping[str, Any], *, own_key: bool) -> str:
    if rule is _ACCOUNT:
        return "The model provider's account is not available at the moment. The operator has been told."
    text = error.get("message")
    if not isinstance(text, str) or not text.strip():
        return "The model provider reported an error."
    text = clean(text)
    return f"OpenRouter refused your own key: {text}" if rule is _OWN_KEY else text


def clean(text: str) -> str:
    """Provider text without anything that looks like a key or an account id."""
    return _ACCOUNT_ID.sub(r"\1_[redacted]", redact(text))[:_LONGEST_MESSAGE]


def _shown(metadata: Mapping[str, Any], error_type: str) -> dict[str, Any]:
    shown: dict[str, Any] = {"upstream_error_type": error_type} if error_type else {}
    for name in _SHOWN:
        value = metadata.get(name)
        if isinstance(value, str):
            shown[name] = clean(value)
        elif isinstance(value, list):
            shown[name] = [clean(item) for item in value[:20] if isinstance(item, str)]
    return shown

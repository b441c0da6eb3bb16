"""From a request to its handler and back: token, limit, query, body, answer, refusals."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, cast
from uuid import UUID

import structlog
from django.core.exceptions import RequestDataTooBig
from django.core.signals import got_request_exception
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from msgspec import UNSET

from accounts.idempotency import HEADER, carry_out, claim_key, fingerprint_of, idempotency_key
from billing.errors import (
    CheckoutExpired,
    CheckoutNotOpen,
    CustomerPaymentDeclined,
    InvalidValue,
    SubscriptionEnded,
)
from billing_api.calls import Call, authenticated, count, require_scope
from billing_api.endpoints import TEXTS, Endpoint
from billing_api.errors import Problem, RequestInvalid, ResourceNotFound, WireRefusal, invalid
from billing_api.kept import with_secret, without_secret
from billing_api.queries import read_query
from billing_api.wire import decode, encode, uuid_of
from core.errors import DomainError
from metering.errors import InvalidMeter, MeterInUse

JSON = "application/json"

log = structlog.get_logger(__name__)


class PathView:
    """Everything served at one path."""

    csrf_exempt = True  # tokens only: no cookie counts here

    def __init__(self, methods: Mapping[str, Endpoint], *, is_sandbox: bool) -> None:
        self.methods = methods
        self.is_sandbox = is_sandbox

    def __call__(self, request: HttpRequest, **parameters: str) -> HttpResponse:
        """Answer one request; a fault is logged and says nothing."""
        try:
            return self._answer(request, parameters)
        except Exception as error:
            return refusal_response(request, error)

    def _answer(self, request: HttpRequest, parameters: dict[str, str]) -> HttpResponse:
        served = self.methods.get(request.method or "")
        if served is None:
            raise WireRefusal(405, "MethodNotAllowed", "Method Not Allowed", {"Allow": ", ".join(sorted(self.methods))})
        at = timezone.now()
        principal = None
        if served.scope is not None:
            principal = authenticated(request, at=at, is_sandbox=self.is_sandbox)
        count(request, principal, served.surface)
        if principal is not None and served.scope is not None:
            require_scope(principal, served.scope)
        call = Call(request, at, self.is_sandbox, principal)

        def work() -> HttpResponse:
            answer = served.handler(call, **_ids(parameters), **_inputs(request, served, at))
            return _response(answer, served.status)

        return work() if served.keeping == "never" else _once(call, served, work)


def _once(call: Call, served: Endpoint, work: Callable[[], HttpResponse]) -> HttpResponse:
    """Do the work, or answer as it was answered under the same ``Idempotency-Key``. Raises KeyReused, StillRunning."""
    request = call.request
    key = idempotency_key(request.headers.get(HEADER))
    if key is None:
        return work()
    body = _body(request, served.largest_body)
    claim = claim_key(
        organization_id=call.organization_id,
        key=key,
        route=request.path,
        fingerprint=fingerprint_of(request.method or "", request.get_full_path(), body),
        at=call.at,
    )
    if claim.answer is not None:
        answer = with_secret(claim.answer, served.secret_of) if served.secret_of else claim.answer
        return answer.as_response()
    refuse, kept = partial(refusal_response, request), without_secret if served.secret_of else None
    return cast(HttpResponse, carry_out(claim, work, refuse=refuse, atomic=served.keeping == "whole", kept=kept))


def _ids(parameters: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in parameters.items():
        if name not in TEXTS:
            found[name] = path_uuid(name, text)
        elif "\0" in text:
            raise ResourceNotFound()
        else:
            found[name] = text
    return found


def path_uuid(name: str, text: str) -> UUID:
    """The id in a path. Raises RequestInvalid for one of another form."""
    found = uuid_of(text)
    if found is None:
        raise invalid(["path", name], "Input should be a valid UUID", "uuid_parsing", text[:200])
    return found


def _inputs(request: HttpRequest, served: Endpoint, at: datetime) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if served.query is not None:
        found["query"] = read_query(request.GET, served.query)
    if served.body is not None:
        body = _body(request, served.largest_body)
        found["body"] = decode(body, served.body) if served.reader is None else served.reader(body, at)
    return found


def _body(request: HttpRequest, largest: int) -> bytes:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in ("", JSON):
        raise WireRefusal(415, "UnsupportedMediaType", "Send application/json.")
    announced = request.META.get("CONTENT_LENGTH") or ""
    if (announced.isdigit() and int(announced) > largest) or len(request.body) > largest:
        raise WireRefusal(413, "PayloadTooLarge", f"The body is too large; at most {largest} bytes are taken.")
    return request.body


def _response(answer: Any, status: int) -> HttpResponse:
    if isinstance(answer, HttpResponse):
        return answer
    if status == 204:
        return HttpResponse(status=204)
    return HttpResponse(encode(answer), status=status, content_type=JSON)


def refusal_response(request: HttpRequest, error: Exception) -> HttpResponse:
    """The answer to a request that ended with ``error``."""
    refusal = refusal_of(error)
    if refusal is None:
        log.error("wire.unexpected", exc_info=error)
        got_request_exception.send(sender=refusal_response, request=request)
        refusal = WireRefusal(500, "InternalServerError", "Something went wrong on our side.")
    body = encode({"error": refusal.error, "detail": refusal.detail})
    return HttpResponse(body, status=refusal.status, content_type=JSON, headers=refusal.headers)


def refusal_of(error: Exception) -> WireRefusal | None:
    """``error`` in the words of the wire; None for a fault."""
    if isinstance(error, WireRefusal):
        return error
    if isinstance(error, DomainError):
        return _domain_refusal(error)
    if isinstance(error, DataError):
        return invalid(["body"], "A value cannot be stored.")
    if isinstance(error, RequestDataTooBig):
        return WireRefusal(413, "PayloadTooLarge", "The body is too large.")
    if isinstance(error, UnreadablePostError):
        return invalid(["body"], "The body broke off.", "json_invalid")
    if isinstance(error, OperationalError | InterfaceError):
        log.error("wire.database_unavailable", exc_info=error)
        return WireRefusal(503, "Unavailable", "Try again in a moment.", {"Retry-After": "5"})
    return None


# What the clients call refusals of ours.
_NAMES: dict[type[DomainError], str] = {
    CheckoutNotOpen: "NotOpenCheckout",
    CheckoutExpired: "ExpiredCheckoutError",
    CustomerPaymentDeclined: "PaymentError",
    SubscriptionEnded: "AlreadyCanceledSubscription",
}


def _domain_refusal(error: DomainError) -> WireRefusal:
    if error.status == 404:
        return ResourceNotFound()
    if isinstance(error, InvalidValue):
        value = UNSET if error.value is None else error.value
        return RequestInvalid([Problem(["body", *error.loc], error.message, error.kind, value)])
    if isinstance(error, InvalidMeter):
        return RequestInvalid([Problem(["body", *place], words, code) for place, code, words in error.problems])
    if isinstance(error, MeterInUse):
        return RequestInvalid([Problem(["body"], error.detail, error.code)])
    if error.status in (400, 422) and error.code == "invalid_request":
        return RequestInvalid(_problems(error))
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 422:
        # Lists only: clients cannot read a 422 with words.
        return RequestInvalid([Problem(["body"], error.detail, error.code)])
    name = _NAMES.get(type(error), type(error).__name__)
    return WireRefusal(error.status, name, error.detail, headers)


def _problems(error: DomainError) -> list[Problem]:
    listed = error.facts.get("errors") or [{}]
    return [
        Problem(
            [
                "body",
                *(int(step) if step.isdigit() else step for step in str(each.get("field") or "").split(".") if step),
            ],
            str(each.get("detail") or error.detail),
            str(each.get("code") or "value_error"),
        )
        for each in listed
    ]


@csrf_exempt
def not_found(request: HttpRequest, **parameters: str) -> HttpResponse:
    """No such path on the wire."""
    return refusal_response(request, ResourceNotFound())

"""The endpoints that providers call. No session, no key: the signature over the raw body says who it is."""

from collections.abc import Callable

import structlog
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from core.errors import DomainError, PayloadTooLarge
from core.problems import problem_http_response
from payments.services.incoming import Message, receive_event
from payments.tasks import process_soon
from payments.webhooks import standard, stripe

LARGEST_BODY = 512 * 1024
log = structlog.get_logger(__name__)


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Events of the Stripe account."""
    return _receive(request, lambda body: stripe.read_message(body, request.headers.get("Stripe-Signature", "")))


@csrf_exempt
@require_POST
def standard_webhook(request: HttpRequest, source: str) -> HttpResponse:
    """Events of a configured sender of Standard Webhooks."""
    return _receive(request, lambda body: standard.read_message(source, body, dict(request.headers)))


def _receive(request: HttpRequest, read: Callable[[bytes], Message]) -> HttpResponse:
    """200 once the message is kept: what it says is carried out after that, and tried again by ourselves."""
    try:
        if int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST_BODY:
            raise PayloadTooLarge(largest_bytes=LARGEST_BODY)
        message = read(request.body)
        with transaction.atomic():
            event, is_new = receive_event(message, at=timezone.now())
            if event.processed_at is None:
                process_soon(event.id)
    except DomainError as refusal:
        log.warning("payments.webhook_refused", path=request.path, code=refusal.code)
        return problem_http_response(refusal)
    log.info("payments.webhook_received", provider=event.provider, type=event.type, event_id=event.external_id)
    return JsonResponse({"id": str(event.id), "received": True, "known": not is_new})

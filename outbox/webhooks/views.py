"""Pages of webhooks: endpoints, the secret once, what they are told, every attempt."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.pages import PageRequest, organization_page
from accounts.scopes import MANAGE
from core.errors import DomainError
from core.keyset import ById, read_page
from outbox.webhooks import services
from outbox.webhooks.forms import EndpointForm, RotateForm
from outbox.webhooks.models import State, WebhookEndpoint, WebhookMessage
from outbox.webhooks.registry import native_types

PAGE_SIZE = 25


@require_safe
@organization_page(MANAGE)
def endpoints(request: PageRequest) -> HttpResponse:
    """The organization's endpoints, and whether each hears what it should."""
    rows = WebhookEndpoint.objects.of(request.organization.id).without_secrets().with_figures().order_by("-created_at")
    return render(request, "outbox/webhooks.html", {"endpoints": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@organization_page(MANAGE)
def new_endpoint(request: PageRequest) -> HttpResponse:
    """Add an endpoint and show its secret, once."""
    form = EndpointForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            endpoint = services.create_endpoint(
                organization_id=request.organization.id,
                wish=form.wish(),
                actor=request.principal.as_actor,
                at=timezone.now(),
            )
        except DomainError as refusal:
            form.add_refusal(refusal)
        else:
            return render(request, "outbox/webhook_secret.html", {"endpoint": endpoint, "is_new": True})
    return render(request, "outbox/webhook_form.html", {"form": form})


@require_safe
@organization_page(MANAGE)
def endpoint_page(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """One endpoint and what it was told, newest first; ``?state=`` shows only messages that stand so."""
    endpoint = _endpoint(request, endpoint_id)
    rows = WebhookMessage.objects.filter(endpoint=endpoint).select_related("event")
    state = request.GET.get("state", "")
    if state in State.values:
        rows = rows.filter(state=state)
    page = read_page(rows, ById(), before=request.GET.get("before"), after=request.GET.get("after"), size=PAGE_SIZE)
    lost = endpoint.missed + endpoint.given_up
    context = {"endpoint": endpoint, "page": page, "state": state, "states": State.choices, "lost": lost}
    return render(request, "outbox/webhook.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page(MANAGE)
def change_endpoint(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Another address, name or choice."""
    endpoint = _endpoint(request, endpoint_id)
    form = EndpointForm(request.POST or None, initial=_initial(endpoint), kept=endpoint.events)
    if request.method == "POST" and form.is_valid():
        try:
            services.update_endpoint(wish=form.wish(), **_change(request, endpoint_id))
        except DomainError as refusal:
            form.add_refusal(refusal)
        else:
            messages.success(request, _("Saved. What waits goes to the address as it is now."))
            return redirect("webhook", endpoint_id)
    return render(request, "outbox/webhook_form.html", {"form": form, "endpoint": endpoint})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@organization_page(MANAGE)
def rotate_secret(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Replace the secret and show the new one, once."""
    endpoint = _endpoint(request, endpoint_id)
    form = RotateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        endpoint = services.rotate_secret(overlap=form.overlap_time(), **_change(request, endpoint_id))
        return render(request, "outbox/webhook_secret.html", {"endpoint": endpoint, "is_new": False})
    return render(request, "outbox/webhook_rotate.html", {"form": form, "endpoint": endpoint})


@require_POST
@organization_page(MANAGE)
def delete_endpoint(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Delete an endpoint with its log."""
    endpoint = _endpoint(request, endpoint_id)
    services.delete_endpoint(**_change(request, endpoint_id))
    messages.success(request, _("“%s” is deleted. Nothing is sent to it any more.") % endpoint)
    return redirect("webhooks")


@require_POST
@organization_page(MANAGE)
def switch_endpoint(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """On (with what was lost) or off."""
    _endpoint(request, endpoint_id)
    if "on" in request.POST:
        services.enable_endpoint(**_change(request, endpoint_id))
        messages.success(request, _("Switched on. What it lost in the last three days is being sent."))
    else:
        services.disable_endpoint(**_change(request, endpoint_id))
        messages.success(request, _("Switched off. What happens meanwhile is kept for 30 days."))
    return redirect("webhook", endpoint_id)


@require_POST
@organization_page(MANAGE)
def test_endpoint(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Send a message that tells of nothing."""
    _endpoint(request, endpoint_id)
    try:
        message = services.send_test(**_change(request, endpoint_id))
    except DomainError as refusal:
        messages.error(request, refusal.detail)
        return redirect("webhook", endpoint_id)
    messages.success(request, _("A test is on its way. Load this page again in a moment to see what came of it."))
    return redirect("webhook_message", message.id)


@require_POST
@organization_page(MANAGE)
def replay_endpoint(request: PageRequest, endpoint_id: UUID) -> HttpResponse:
    """Send again all that was missed or given up."""
    _endpoint(request, endpoint_id)
    try:
        count = services.replay_missed(**_change(request, endpoint_id))
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    else:
        words = ngettext("%d message is being sent again.", "%d messages are being sent again.", count)
        messages.success(request, words % count)
    return redirect("webhook", endpoint_id)


@require_safe
@organization_page(MANAGE)
def message_page(request: PageRequest, message_id: UUID) -> HttpResponse:
    """One message: its bytes and every attempt."""
    message = _message(request, message_id)
    deliveries = message.deliveries.order_by("-id")[:100]
    return render(request, "outbox/webhook_message.html", {"message": message, "deliveries": deliveries})


@require_POST
@organization_page(MANAGE)
def replay_message(request: PageRequest, message_id: UUID) -> HttpResponse:
    """Send one message again."""
    _message(request, message_id)
    try:
        services.replay_message(
            message_id=message_id,
            organization_id=request.organization.id,
            actor=request.principal.as_actor,
            at=timezone.now(),
        )
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(request, _("It is being sent again, with the same id and the same bytes."))
    return redirect("webhook_message", message_id)


def _endpoint(request: PageRequest, endpoint_id: UUID) -> Any:
    endpoints = WebhookEndpoint.objects.of(request.organization.id).without_secrets().with_figures()
    endpoint = endpoints.filter(id=endpoint_id).first()
    if endpoint is None:
        raise Http404
    return endpoint


def _message(request: PageRequest, message_id: UUID) -> WebhookMessage:
    rows = WebhookMessage.objects.of(request.organization.id).select_related("event", "endpoint")
    message = rows.defer("endpoint__secret", "endpoint__previous_secret").filter(id=message_id).first()
    if message is None:
        raise Http404
    return message


def _change(request: PageRequest, endpoint_id: UUID) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint_id,
        "organization_id": request.organization.id,
        "actor": request.principal.as_actor,
        "at": timezone.now(),
    }


def _initial(endpoint: WebhookEndpoint) -> dict[str, Any]:
    own = {each.name for each in native_types()}
    return {
        "url": endpoint.url,
        "name": endpoint.name,
        "own": [name for name in endpoint.events if name in own],
        "sales": [name for name in endpoint.events if name not in own],
    }

"""The test provider's own page: pay, be declined, or leave. Whoever has its address may use it, as with a real one."""

from uuid import UUID

from django.core import signing
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import Organization
from payments.models import Payment, Status
from payments.providers import provider_name_for
from payments.providers.pages import methods_page, payment_page, read_sandbox_token
from payments.providers.sandbox import CARDS
from payments.services import process_incoming_event, receive_event
from payments.webhooks.sandbox import message_of


@require_http_methods(["GET", "POST"])
@never_cache
def sandbox(request: HttpRequest, token: str) -> HttpResponse:
    """The page for one payment, or for saving a card without one."""
    try:
        kind, identifier = read_sandbox_token(token)
    except signing.BadSignature:
        raise Http404("No such page.") from None
    if kind == "saving":
        organization = get_object_or_404(Organization, pk=identifier)
        return _saving(request, _paying_with_test_cards(organization))
    payment = get_object_or_404(Payment.objects.select_related("organization"), pk=identifier, provider="sandbox")
    _paying_with_test_cards(payment.organization)
    return _payment(request, payment)


def _paying_with_test_cards(organization: Organization) -> Organization:
    """The organization; pages from the time before a real provider was set up are worth nothing. Raises Http404."""
    if provider_name_for(is_test=organization.is_test) != "sandbox":
        raise Http404("Test cards are not taken here.")
    return organization


def _payment(request: HttpRequest, payment: Payment) -> HttpResponse:
    back = payment_page(payment, returned=True)
    # A page that was closed, like one that is paid, only leads back.
    if request.method == "POST" and payment.status == Status.OPEN and payment.checkout_reference:
        if request.POST.get("do") == "leave":
            _report("page.left", payment.id, "")
            return HttpResponseRedirect(payment_page(payment))
        card = "test_card_no" if request.POST.get("do") == "decline" else request.POST.get("card", "")
        _report("payment.tried", payment.id, card)
        payment.refresh_from_db()
        if payment.status != Status.OPEN:
            return HttpResponseRedirect(back)
    context = {"payment": payment, "cards": CARDS.values(), "back": back, "organization": payment.organization}
    return render(request, "payments/sandbox.html", context)


def _saving(request: HttpRequest, organization: Organization) -> HttpResponse:
    if request.method == "POST":
        if request.POST.get("do") != "leave":
            _report("method.saved", organization.id, request.POST.get("card", ""))
        return HttpResponseRedirect(methods_page())
    context = {"payment": None, "cards": CARDS.values(), "back": methods_page(), "organization": organization}
    return render(request, "payments/sandbox.html", context)


def _report(kind: str, about: UUID, card: str) -> None:
    """Tell Farebox what happened, in the way of every provider: an event that is kept, then carried out."""
    now = timezone.now()
    with transaction.atomic():
        event, _ = receive_event(message_of(kind, about, card), at=now)
    process_incoming_event(event_id=event.id, at=now)

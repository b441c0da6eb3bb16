"""The page on which a merchant's customer sees what he has, has used and has paid, and ends or keeps subscriptions."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing import services
from billing.amounts import dollars, plain
from billing.models import Customer, Order
from billing.sessions import read_session
from billing.state import CustomerState, customer_state
from core.errors import DomainError

MOST_ORDERS = 50
_ACTOR = "customer"


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def portal_page(request: HttpRequest, token: str) -> HttpResponse:
    """Whoever has the token is the customer, until it is over."""
    session = read_session(token, at=timezone.now())
    if session is None:
        return render(request, "billing/portal_over.html", status=404)
    customer = session.customer
    if request.method == "POST":
        _change(request, customer)
        return HttpResponseRedirect(request.path, status=303)
    state = customer_state(customer, at=timezone.now())
    return render(request, "billing/portal.html", _context(customer, state, session.return_url))


def _change(request: HttpRequest, customer: Customer) -> None:
    """End a subscription with its period, or let it go on."""
    change = {"cancel": services.cancel_subscription, "keep": services.uncancel_subscription}
    do, subscription = request.POST.get("do", ""), request.POST.get("subscription", "")
    if do not in change or subscription not in _own(customer):
        raise Http404
    try:
        change[do](
            organization_id=customer.organization_id,
            subscription_id=UUID(subscription),
            actor=_ACTOR,
            at=timezone.now(),
        )
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    else:
        words = gettext("It ends with its period.") if do == "cancel" else gettext("It goes on.")
        messages.success(request, words)


def _own(customer: Customer) -> set[str]:
    return {str(key) for key in customer.subscriptions.filter(ended_at__isnull=True).values_list("id", flat=True)}


def _context(customer: Customer, state: CustomerState, back: str) -> dict[str, Any]:
    orders = Order.objects.filter(customer=customer).select_related("product").order_by("-created_at", "-id")
    return {
        "customer": customer,
        "merchant": customer.organization,
        "back": back,
        "subscriptions": [
            {"row": each.subscription, "price": dollars(each.subscription.amount), "meters": _billed(each)}
            for each in state.subscriptions
        ],
        "meters": [
            {
                "name": each.meter.name,
                "consumed": plain(each.consumed),
                "credited": f"{each.credited:,}",
                "left": plain(each.balance),
                "is_over": each.balance < 0,
            }
            for each in state.meters
        ],
        "orders": [{"row": order, "amount": dollars(order.amount)} for order in orders[:MOST_ORDERS]],
    }


def _billed(each: Any) -> list[dict[str, str]]:
    return [{"name": line.meter.name, "amount": dollars(line.amount)} for line in each.meters if line.amount]

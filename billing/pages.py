"""The hosted checkout page. Whoever has its address may pay on it, as with every payment provider's."""

from typing import Any, cast
from urllib.parse import urlsplit

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from billing import services
from billing.amounts import dollars, plain
from billing.collecting import provider_for
from billing.forms import CheckoutForm
from billing.models import Checkout, CheckoutStatus, PriceKind, Product
from billing.services.grants import benefits_of
from billing.words import every, span
from core.errors import DomainError
from metering.meters.models import Meter
from payments.charging.test_processor import TOKENS
from payments.providers.sandbox import CARDS


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def checkout_page(request: HttpRequest, client_secret: str) -> HttpResponse:
    """Choose, say who one is, pay; then on to where the merchant wants his buyers."""
    rows = Checkout.objects.select_related("organization", "product", "customer")
    checkout = get_object_or_404(rows, client_secret=client_secret)
    offers = [offer.product for offer in checkout.offers.select_related("product")]
    form = CheckoutForm(request.POST or None, checkout=checkout, offers=offers)
    if request.method == "POST" and form.is_valid():
        try:
            checkout = _pay(checkout, form)
        except DomainError as refusal:
            checkout = rows.get(pk=checkout.pk)
            form.add_error(None, refusal.detail)
        else:
            onward = address_after(checkout)
            if checkout.status == CheckoutStatus.SUCCEEDED and onward:
                return HttpResponseRedirect(onward, status=303)
            return HttpResponseRedirect(request.path, status=303)
    # Browsers hold redirects that answer a form to the page's policy too.
    allowed = {"form-action": [_origin(checkout.success_url)]} if checkout.success_url else {}
    response = render(request, "billing/checkout.html", _context(checkout, offers, form))
    return cast(HttpResponse, csp_update(allowed)(lambda _: response)(request))


def address_after(checkout: Checkout) -> str:
    """Where the buyer goes when he has paid, as the merchant said; empty: nowhere."""
    return checkout.success_url.replace("{CHECKOUT_ID}", str(checkout.id))


def _pay(checkout: Checkout, form: CheckoutForm) -> Checkout:
    now, chosen = timezone.now(), form.cleaned_data["product"]
    if chosen is not None and chosen != checkout.product_id:
        services.update_checkout(client_secret=checkout.client_secret, changes={}, product_id=chosen, at=now)
        checkout.refresh_from_db()
    token = form.cleaned_data["token"] if _takes_test_cards(checkout) else ""
    return services.confirm_checkout(
        client_secret=checkout.client_secret, confirmation_token=token, details=form.details(), at=now
    )


def _takes_test_cards(checkout: Checkout) -> bool:
    return provider_for(checkout.organization_id) == "sandbox"


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _context(checkout: Checkout, offers: list[Product], form: CheckoutForm) -> dict[str, Any]:
    return {
        "checkout": checkout,
        "status": checkout.status_at(timezone.now()),
        "merchant": checkout.organization,
        "form": form,
        "offers": [_offer(product, checkout) for product in offers],
        "amount": dollars(checkout.amount),
        "takes_test_cards": _takes_test_cards(checkout),
        "takes_nothing": provider_for(checkout.organization_id) == "none",
        "cards": {token: CARDS[card] for token, card in TOKENS.items()},
        "onward": address_after(checkout),
    }


def _offer(product: Product, checkout: Checkout) -> dict[str, Any]:
    """A product as a buyer reads it: what it costs now and later, what comes with it."""
    prices = list(product.prices.filter(is_archived=False))
    meters = Meter.objects.in_bulk([price.meter_id for price in prices if price.meter_id])
    ahead = sum(price.price_amount or 0 for price in prices)
    metered = [
        {
            "amount": f"{plain(price.unit_amount)} ¢",
            "meter": meters[price.meter_id].name,
            "cap": "" if price.cap_amount is None else dollars(price.cap_amount),
        }
        for price in prices
        if price.kind == PriceKind.METERED_UNIT and price.meter_id and price.unit_amount is not None
    ]
    return {
        "product": product,
        "is_chosen": product.id == checkout.product_id,
        "price": dollars(ahead),
        "metered": metered,
        "benefits": benefits_of(product),
        "every": every(product.recurring_interval, product.recurring_interval_count) if product.is_recurring else "",
        "trial": span(product.trial_interval, product.trial_interval_count)
        if checkout.allow_trial and product.trial_interval is not None
        else "",
    }

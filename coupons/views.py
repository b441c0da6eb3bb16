"""The page on which a member redeems a code and sees what codes have given."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.actors import keys_that_acted
from accounts.addresses import address_of_request
from accounts.pages import PageRequest, organization_page
from accounts.scopes import BILLING, Scope
from core.errors import DomainError
from core.keyset import ById, read_page
from coupons.eligibility import offered_coupon
from coupons.forms import RedeemForm
from coupons.guessing import count_attempt
from coupons.models import Coupon, Redemption
from coupons.services import redeem_coupon
from coupons.words import gift_of

PAGE_SIZE = 25


@require_http_methods(["GET", "HEAD", "POST"])
@organization_page(Scope.CREDITS_READ)
def coupons(request: PageRequest) -> HttpResponse:
    """Type a code, see what it gives, redeem it; below, what was redeemed."""
    if request.method != "POST":
        return _page(request, RedeemForm())
    if not request.principal.has_scope(BILLING):  # whoever pays also uses what lowers the price
        raise PermissionDenied(_("Your role in this organization does not redeem coupons."))
    form = RedeemForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    try:
        count_attempt(request.principal, address_of_request(request))
        if "check" in request.POST:
            return _page(request, form, offer=_offer(request, form))
        redemption = _redeem(request, form)
    except DomainError as refusal:
        form.add_error("code", refusal.detail)
        return _page(request, form)
    messages.success(request, _said(redemption))
    return redirect("coupons")


def _offer(request: PageRequest, form: RedeemForm) -> Coupon:
    return offered_coupon(organization_id=request.organization.id, code=form.cleaned_data["code"], at=timezone.now())


def _redeem(request: PageRequest, form: RedeemForm) -> Redemption:
    return redeem_coupon(
        organization_id=request.organization.id,
        code=form.cleaned_data["code"],
        actor=request.principal.as_actor,
        at=timezone.now(),
        key=form.cleaned_data["key"],
    )


def _said(redemption: Redemption) -> str:
    return _("%(code)s is redeemed: %(offer)s.") % {
        "code": redemption.coupon.code,
        "offer": gift_of(redemption),
    }


def _page(request: PageRequest, form: RedeemForm, offer: Coupon | None = None) -> HttpResponse:
    redemptions = Redemption.objects.filter(organization_id=request.organization.id).with_coupons()
    page = read_page(
        redemptions, ById(), before=request.GET.get("before"), after=request.GET.get("after"), size=PAGE_SIZE
    )
    context = {
        "form": form,
        "offer": offer,
        "page": page,
        "keys": keys_that_acted(request.organization, [redemption.actor for redemption in page.rows]),
        "may_redeem": request.principal.has_scope(BILLING),
    }
    return render(request, "coupons/coupons.html", context)

"""The card of written advice on the page of recommendations."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.pages import PageRequest, organization_page
from accounts.scopes import MANAGE, Scope
from advice.services import ask_for_advice
from advice.written.reading import written_for
from core.errors import DomainError


@require_safe
@organization_page(Scope.USAGE_READ)
def written(request: PageRequest) -> HttpResponse:
    """The card alone, while it is waited for; a visitor is sent to the page."""
    if "HX-Request" not in request.headers:
        return redirect("recommendations")
    context = {"written": written_for(request.organization), "may_decide": request.principal.has_scope(MANAGE)}
    return render(request, "advice/_written.html", context)


@require_POST
@organization_page(MANAGE)
def ask(request: PageRequest) -> HttpResponse:
    """Have advice written."""
    try:
        ask_for_advice(organization_id=request.organization.id, actor=request.principal.as_actor, at=timezone.now())
    except DomainError as refusal:
        messages.error(request, refusal.detail)
    else:
        messages.success(request, _("The advice is being written. It appears here within a minute."))
    return redirect("recommendations")

"""The way back from looking as somebody else."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.impersonation import SESSION_KEY, impersonation_of
from accounts.services import end_impersonation


@require_POST
def end(request: HttpRequest) -> HttpResponse:
    """Look as oneself again."""
    running = impersonation_of(request)
    request.session.pop(SESSION_KEY, None)
    if running is None:
        return redirect("home")
    end_impersonation(impersonation=running, at=timezone.now())
    messages.success(request, _("You are yourself again."))
    return redirect("admin:organization_timeline", running.organization_id)

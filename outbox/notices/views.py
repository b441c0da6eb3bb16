"""Pages of news, and of the wish for letters."""

from typing import cast

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.impersonation import impersonation_of
from accounts.pages import PageRequest, organization_page
from accounts.scopes import ANY, Scope
from core.keyset import read_page
from outbox.notices.forms import EmailForm
from outbox.notices.models import Notice
from outbox.notices.reading import ByTime, seen_until, told
from outbox.notices.services import choose_emails, note_seen

PAGE_SIZE = 30


@require_safe
@organization_page(Scope.CREDITS_READ)
def notifications(request: PageRequest) -> HttpResponse:
    """The organization's news, newest first. Whoever looks at the newest, as themselves, has seen all."""
    organization_id, user_id = request.organization.id, _reader(request)
    seen = seen_until(user_id, organization_id)
    page = read_page(
        Notice.objects.filter(organization_id=organization_id),
        ByTime(),
        before=request.GET.get("before"),
        after=request.GET.get("after"),
        size=PAGE_SIZE,
    )
    is_reader = impersonation_of(request) is None
    if is_reader and page.newer is None and page.rows and page.rows[0].created_at > seen:
        note_seen(user_id=user_id, organization_id=organization_id, at=timezone.now())
    return render(request, "notices/notifications.html", {"page": page, "news": told(page.rows, seen)})


@require_http_methods(["GET", "POST"])
@organization_page(ANY)
def notification_settings(request: PageRequest) -> HttpResponse:
    """Which news comes by e-mail; a person's own wish, whichever organization is looked at."""
    form = EmailForm(request.POST if request.method == "POST" else None, user_id=_reader(request))
    if request.method == "POST" and form.is_valid():
        choose_emails(user_id=_reader(request), by_email=form.cleaned_data)
        messages.success(request, _("Your choice is kept."))
        return redirect("notification_settings")
    return render(request, "notices/settings.html", {"form": form})


def _reader(request: PageRequest) -> int:
    """The id of the logged-in person; the guard has made sure that there is one."""
    return cast(int, request.user.pk)

"""Requests of operators who look as somebody else: served as that person would see them, and nothing else.

The operator stays signed in as themselves; only ``request.user`` is another, request by request. So nothing of the
person's sign-in is touched, and the operator's second factor stays shown. The back office and the pages of sign-in and
security are always the operator's own.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django_structlog import signals
from rest_framework.permissions import SAFE_METHODS
from structlog.contextvars import bind_contextvars

from accounts.models import Impersonation, User

PERMISSION = "accounts.impersonate"
SESSION_KEY = "impersonation_id"
_OPERATORS_OWN = ("/admin/", "/accounts/")
_ANSWERS_ITSELF = "/api/"  # refuses writes in its own words: see ``authentication.py``


class ImpersonationMiddleware:
    """Sets ``request.impersonation`` (else None) and, with one, ``request.user`` to the person looked as."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as the person would be answered. Raises PermissionDenied for whatever is no reading."""
        running = None if request.path_info.startswith(_OPERATORS_OWN) else _running(request, timezone.now())
        request.impersonation = running  # type: ignore[attr-defined]
        if running is None or request.path_info == reverse("impersonation_end"):
            return self.get_response(request)
        if request.method not in SAFE_METHODS and not request.path_info.startswith(_ANSWERS_ITSELF):
            raise PermissionDenied(
                _("You are looking as %(email)s: nothing can be changed.") % {"email": running.person.email}
            )
        request.user = running.person
        return self.get_response(request)


def impersonation_of(request: HttpRequest) -> Impersonation | None:
    """What the request is served under; None for people who look as themselves."""
    return getattr(request, "impersonation", None)


def _running(request: HttpRequest, at: datetime) -> Impersonation | None:
    """The one that this browser began, while it lasts and its operator may still do it."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES or SESSION_KEY not in request.session:
        return None
    found = (
        Impersonation.objects.select_related("person", "operator")
        .filter(pk=UUID(request.session[SESSION_KEY]), operator_id=request.user.pk, ended_at=None)
        .filter(expires_at__gt=at, person__in=User.objects.impersonable())
        .first()
    )
    if found is None or not (found.operator.is_staff and found.operator.has_perm(PERMISSION)):
        del request.session[SESSION_KEY]
        return None
    return found


@receiver(signals.bind_extra_request_metadata)
def _name_operator(request: HttpRequest, **_: Any) -> None:
    """The log says who is looking, beside as whom."""
    if (running := impersonation_of(request)) is not None:
        bind_contextvars(operator_id=running.operator_id)

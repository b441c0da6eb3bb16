"""Which scope a request needs, read from the view."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.errors import InsufficientScope
from accounts.principal import Principal
from accounts.scopes import scope_for_keys


class HasScope(BasePermission):
    """Lets a Principal with the view's scope in.

    A view says ``scope = "credits:read"``, or per action ``scopes = {"list": "credits:read", "create":
    "credits:write"}`` (view sets by action, plain views by lower-case method); ``accounts.scopes.ANY`` admits
    every authenticated caller. A view that says nothing is never served.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """True, or a refusal that names the missing scope."""
        if not isinstance(request.auth, Principal):
            raise NotAuthenticated()
        needed = required_scope(view, request.method or "")
        if not request.auth.has_scope(needed):
            named = needed if request.auth.api_key_id is None else scope_for_keys(needed)
            raise InsufficientScope(
                f'This needs the scope "{named}".',
                required_scope=named,
                granted_scopes=sorted(request.auth.scopes),
            )
        return True


def required_scope(view: Any, method: str) -> str:
    """The scope that ``view`` asks for.

    Raises MethodNotAllowed for an action or method that it does not have.
    """
    action = view.action if getattr(view, "action_map", None) else method.lower()
    if action in (None, "options", "metadata") or not hasattr(view, action):
        raise MethodNotAllowed(method)
    asked = "get" if action == "head" else action
    scope = getattr(view, "scopes", {}).get(asked) or getattr(view, "scope", None)
    if scope is None:
        raise ImproperlyConfigured(f"{type(view).__name__} names no scope for {action}.")
    return scope

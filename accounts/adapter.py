"""Where the login library meets our own accounts."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from accounts.services import create_organization


class AccountAdapter(DefaultAccountAdapter):
    """Gives everyone who signs up an organization of their own."""

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """The person and their organization, with tier and welcome credit: all of it or nothing."""
        with transaction.atomic():
            user = super().save_user(request, user, form, commit)
            if commit:
                welcome(user)
        return user


def attempted_login(request: HttpRequest | None, credentials: dict[str, Any] | None) -> str | None:
    """The address that somebody tried to log in with: lock-outs count by person, however the form calls it."""
    given = credentials or {}
    login = given.get("email") or given.get("username")
    if login is None and request is not None:
        login = request.POST.get("login")
    return login.strip().lower() if login else None


def welcome(user: User) -> None:
    """The personal organization of somebody who has just signed up."""
    name = user.name or user.email.partition("@")[0]
    create_organization(name=name[:120], owner=user, is_signup=True, at=timezone.now())

"""Where the login library meets our own accounts."""

from typing import Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
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


class SingleSignOnAdapter(DefaultSocialAccountAdapter):
    """The same for whoever comes by single sign-on for the first time."""

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        """The person, how they sign in, and their organization: all of it or nothing."""
        with transaction.atomic():
            user = cast(User, super().save_user(request, sociallogin, form))
            welcome(user)
        return user

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """Address and name as the issuer tells them."""
        user = cast(User, super().populate_user(request, sociallogin, data))
        parts = (data.get("first_name"), data.get("last_name"))
        name = data.get("name") or " ".join(part for part in parts if part)
        user.email, user.name = user.email.lower(), " ".join(str(name or "").replace("\0", "").split())[:150]
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

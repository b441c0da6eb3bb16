"""Operators: people who enter the admin."""

from typing import cast

from django.http import HttpRequest

from accounts.models import User
from accounts.principal import Actor


def operator(request: HttpRequest) -> Actor:
    """The operator behind an admin request, for the audit trail."""
    person = cast(User, request.user)
    return Actor(person.email, person.pk)

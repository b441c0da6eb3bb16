"""Tags of the pages of people and organizations."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.conf import settings
from django.forms import BoundField
from django.template import RequestContext
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from accounts.models import ApiKey

register = template.Library()

_BROWSERS = (
    ("Edge", r"Edg(?:e|A|iOS)?/"),
    ("Opera", r"OPR/"),
    ("Firefox", r"Firefox/|FxiOS/"),
    ("Chrome", r"Chrome/|CriOS/"),
    ("Safari", r"Version/[\d.]+.*Safari/"),
)
_SYSTEMS = (
    ("Android", r"Android"),
    ("iPhone", r"iPhone"),
    ("iPad", r"iPad"),
    ("Windows", r"Windows"),
    ("macOS", r"Mac OS X"),
    ("Linux", r"Linux"),
)


@register.simple_tag(takes_context=True)
def person_tabs(context: RequestContext) -> list[dict[str, Any]]:
    """The pages of a person's own account."""
    pages = [
        ("profile", _("Profile")),
        ("account_email", _("E-mail addresses")),
        ("mfa_index", _("Security")),
        ("usersessions_list", _("Sessions")),
    ]
    if settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]:
        pages.append(("socialaccount_connections", _("Single sign-on")))
    return _tabs(context, pages)


@register.simple_tag(takes_context=True)
def organization_tabs(context: RequestContext) -> list[dict[str, Any]]:
    """The pages of an organization's settings."""
    return _tabs(context, [("organization_settings", _("General")), ("team", _("Members")), ("teams", _("Teams"))])


@register.simple_tag
def address_choices(radios: Sequence[dict[str, Any]]) -> dict[str, bool]:
    """What can be done with a person's addresses: the only one stays, and a confirmed one needs no letter."""
    unconfirmed = any(not radio["emailaddress"].verified for radio in radios)
    return {"has_several": len(radios) > 1, "has_unconfirmed": unconfirmed}


@register.filter
def in_our_words(field: BoundField) -> str:
    """The label of a field of the login library, in the words of all other pages."""
    is_new = "email" not in field.form.fields  # whoever signs up has no old one
    words = {
        "email": _("E-mail address"),
        "oldpassword": _("Current password"),
        "password": _("Password"),
        "password1": _("New password") if is_new else _("Password"),
        "password2": _("New password, again") if is_new else _("Password, again"),
    }
    return words.get(field.name) or str(field.label)


@register.filter
def browser(user_agent: str) -> str:
    """A browser and its system in words; what it says of itself when that is nothing known."""
    name = next((name for name, pattern in _BROWSERS if re.search(pattern, user_agent)), "")
    system = next((name for name, pattern in _SYSTEMS if re.search(pattern, user_agent)), "")
    if not name:
        return user_agent[:60]
    return _("{browser} on {system}").format(browser=name, system=system) if system else name


@register.simple_tag
def actor(label: str, keys: Mapping[str, ApiKey] | None = None) -> str:
    """Who did something: a key by its name, which leads to the list of keys; everybody else as they are called."""
    key = (keys or {}).get(label)
    if key is None:
        return label or "–"
    address = f"{reverse('api_keys')}#key-{key.id}"
    return format_html('<a class="quiet-link above" href="{}" title="{}">{}</a>', address, label, key.name)


def _tabs(context: RequestContext, pages: list[tuple[str, str]]) -> list[dict[str, Any]]:
    here = context["request"].path
    urls = [(reverse(name), label) for name, label in pages]
    return [{"url": url, "label": label, "current": url == here} for url, label in urls]

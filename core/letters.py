"""Texts of e-mails, from templates."""

from collections.abc import Mapping
from typing import Any

from django.template.loader import render_to_string


def letter(template: str, context: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and body; the first line of the template is the subject."""
    subject, _, body = render_to_string(template, dict(context)).strip().partition("\n")
    return subject, body.strip() + "\n"

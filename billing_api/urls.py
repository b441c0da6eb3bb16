"""Every path of the wire, exactly as listed: a path with one slash more or less is another path."""

import re

from django.urls import URLPattern, re_path

from billing_api import modules  # noqa: F401  (declares the endpoints)
from billing_api.documents import openapi
from billing_api.endpoints import ENDPOINTS, in_matching_order
from billing_api.views import PathView, not_found

_PARAMETER = re.compile(r"\\{(\w+)\\}")


def pattern_of(path: str) -> str:
    """The regular expression of a path; an external id may contain slashes and ends of lines."""
    return "^" + _PARAMETER.sub(_group, re.escape(path)) + r"\Z"


def _group(found: re.Match[str]) -> str:
    return f"(?P<{found[1]}>{'(?s:.+)' if found[1] == 'external_id' else '[^/]+'})"


def wire_urls(*, is_sandbox: bool) -> list[URLPattern]:
    """The paths below ``/v1/`` or, for sandbox tokens only, ``/sandbox/v1/``."""
    prefix = "sandbox-wire" if is_sandbox else "wire"
    paths = [
        re_path(pattern_of(path), PathView(methods, is_sandbox=is_sandbox), name=f"{prefix} {path}")
        for path, methods in in_matching_order(ENDPOINTS).items()
    ]
    return [*paths, re_path(r"^openapi\.json\Z", openapi), re_path("", not_found)]

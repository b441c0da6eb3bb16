"""The modules that declare endpoints."""

from billing_api import tokens  # noqa: F401

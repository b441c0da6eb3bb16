"""Operators' pages for tiers and subscriptions."""

from tiers.admin import closes, subscriptions, tiers

__all__ = ["closes", "subscriptions", "tiers"]

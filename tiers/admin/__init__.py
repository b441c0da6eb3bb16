"""Operators' pages for tiers and subscriptions."""

from tiers.admin import subscriptions, tiers

__all__ = ["subscriptions", "tiers"]

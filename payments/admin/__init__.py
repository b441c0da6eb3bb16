"""Operators' pages of payments: everything can be seen, money moves through the services alone."""

from payments.admin import events, payments, terms

__all__ = ["events", "payments", "terms"]

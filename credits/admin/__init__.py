"""Operators' pages of the books: everything can be seen, money moves through the services alone."""

from credits.admin import accounts, ledger

__all__ = ["accounts", "ledger"]

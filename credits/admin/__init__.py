"""Operators' pages of the books: everything can be seen, money moves through the services alone."""

from credits.admin import accounts, batches, ledger, statements

__all__ = ["accounts", "batches", "ledger", "statements"]

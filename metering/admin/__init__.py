"""Operators' pages for the price book and for usage."""

from metering.admin import budgets, estimates, events, meters, price_book, reratings

__all__ = ["budgets", "estimates", "events", "meters", "price_book", "reratings"]

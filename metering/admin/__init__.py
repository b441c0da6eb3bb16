"""Operators' pages for the price book and for usage."""

from metering.admin import estimates, events, meters, price_book

__all__ = ["estimates", "events", "meters", "price_book"]

"""Operators' pages for the price book and for usage."""

from metering.admin import events, price_book

__all__ = ["events", "price_book"]

"""Operators' pages for the price book and for usage."""

from metering.admin import events, meters, price_book

__all__ = ["events", "meters", "price_book"]

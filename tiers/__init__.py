"""Tiers as data: price, markup, model access, limits."""

"""Coupons: codes that give credit, lower a payment or lend a tier, within limits, once."""

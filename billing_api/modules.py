"""The modules that declare endpoints."""

from billing_api import (  # noqa: F401
    benefits,
    checkouts,
    customer_meters,
    customers,
    event_types,
    events,
    merchants,
    meters,
    orders,
    products,
    refunds,
    sessions,
    subscriptions,
    tokens,
    webhooks,
)

"""Outbound webhooks: who is told of what, and every attempt to tell them.

A domain event becomes one WebhookEvent, whose bytes are written once, and one WebhookMessage for each endpoint that
wants it. A message is tried until it is delivered or given up; each attempt leaves a WebhookDelivery.
"""

from outbox.webhooks.registry import register_payload

__all__ = ["register_payload"]

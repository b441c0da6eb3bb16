"""Periods of subscriptions as calls meet them: what is over is closed before a wallet moves, without a query for it.

The terms, cached for a moment, tell when the period ends. Only a call that meets the end waits for the close.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connection

from credits.upkeep import bring_up_to_date
from tiers.querysets import forget_terms, terms_for_async
from tiers.terms import TierTerms


async def present_terms(organization_id: UUID, read: Callable[[UUID], Awaitable[TierTerms]]) -> TierTerms:
    """The organization's terms; a period that is over is closed first, since the next may be on another tier."""
    terms = await terms_for_async(organization_id, read=read)
    if not is_over(terms):
        return terms
    await close_what_is_over(organization_id)
    return await terms_for_async(organization_id, read=read)


def is_over(terms: TierTerms) -> bool:
    """Whether the period of these terms has ended."""
    return terms.period_ends_at is not None and terms.period_ends_at <= datetime.now(UTC)


async def close_what_is_over(organization_id: UUID) -> None:
    """Let everything happen to the wallet that was due by now."""
    await sync_to_async(_close, thread_sensitive=False)(organization_id)


def _close(organization_id: UUID) -> None:
    try:
        bring_up_to_date([organization_id], datetime.now(UTC))
        forget_terms()
    finally:
        connection.close()

"""Recommendations as pages and the API read them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from advice.findings.found import WINDOW
from advice.findings.words import Advice, advice_of
from advice.models import Recommendation, RecommendationReview
from tiers.entitlements import reaches
from tiers.errors import NoTier
from tiers.querysets import terms_for

ENTITLEMENT = "recommendations"
TIPS, FIGURES, WRITTEN = "tips", "recommendations", "ai"


def level_of(organization_id: UUID) -> str:
    """What the tier includes; one that says nothing of it includes all."""
    try:
        return terms_for(organization_id).entitlements.get(ENTITLEMENT, WRITTEN)
    except NoTier:
        return WRITTEN


def has_figures(level: str) -> bool:
    """Whether savings and their evidence are shown."""
    return reaches(ENTITLEMENT, level, FIGURES)


def review_of(organization_id: UUID) -> RecommendationReview | None:
    """The last look through the usage."""
    return RecommendationReview.objects.filter(organization_id=organization_id).first()


def advice_for(organization_id: UUID, **which: Any) -> list[Advice]:
    """The organization's recommendations in words, the greatest saving first."""
    seen = review_of(organization_id)
    last = seen.ends_at - timedelta(seconds=1) if seen else timezone.now()
    first = seen.starts_at if seen else last - WINDOW
    rows = Recommendation.objects.filter(organization_id=organization_id, **which).order_by(
        "-saving", "kind", "subject"
    )
    return [advice_of(row, first=first, last=last) for row in rows]

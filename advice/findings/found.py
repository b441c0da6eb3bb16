"""What a look through an organization's usage finds."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tiers.terms import TierTerms

WINDOW = timedelta(days=30)  # what was saved over it is the saving of a month
LEAST_SAVING = Decimal(1)  # USD a month; less is not worth anybody's time


@dataclass(frozen=True, slots=True)
class Found:
    """One finding. ``saving`` is USD over WINDOW; ``evidence`` is what it was computed from, amounts as text."""

    kind: str
    subject: str
    saving: Decimal
    confidence: str
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def is_worth_it(self) -> bool:
        """Whether it is to be told."""
        return self.saving >= LEAST_SAVING


@dataclass(frozen=True, slots=True)
class Case:
    """Whose usage, over which days, on which terms."""

    organization_id: UUID
    start: datetime
    end: datetime
    terms: TierTerms

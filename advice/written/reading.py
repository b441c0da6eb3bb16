"""Written advice as the page reads it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from accounts.models import Organization
from advice.findings.reading import ENTITLEMENT, FIGURES, WRITTEN, level_of
from advice.models import WritingState, WrittenAdvice
from core.amounts import readable
from openrouter.upstreams import upstream_for
from tiers.entitlements import reaches


@dataclass(frozen=True, slots=True)
class Written:
    """What the page shows: the last request, and the last advice that was written."""

    is_included: bool
    is_configured: bool
    is_shown: bool
    last: WrittenAdvice | None
    written: WrittenAdvice | None

    @property
    def is_open(self) -> bool:
        """Whether one is being written."""
        return self.last is not None and self.last.is_open

    @property
    def has_failed(self) -> bool:
        """Whether the last one could not be written."""
        return self.last is not None and self.last.state == WritingState.FAILED

    @property
    def facts(self) -> list[tuple[str, str]]:
        """The figures that the advice was written from, in words."""
        return [] if self.written is None else _facts(self.written.figures)


def written_for(organization: Organization) -> Written:
    """The state of written advice for an organization."""
    level = level_of(organization.id)
    rows = WrittenAdvice.objects.filter(organization_id=organization.id).order_by("-created_at")
    is_included = reaches(ENTITLEMENT, level, WRITTEN)
    return Written(
        is_included=is_included,
        is_configured=upstream_for(organization.mode).can_be_asked,
        is_shown=reaches(ENTITLEMENT, level, FIGURES),
        last=rows.first() if is_included else None,
        written=rows.filter(state=WritingState.WRITTEN).first() if is_included else None,
    )


def _facts(figures: dict[str, Any]) -> list[tuple[str, str]]:
    totals = figures["totals"]
    models = [f"{row['model']} {row['share_percent']} %" for row in figures["by_model"]]
    kinds = [f"{row['kind']} {row['share_percent']} %" for row in figures["by_kind"]]
    saving = [f"{row['kind'].replace('_', ' ')} {_usd(row['saving_a_month'])}" for row in figures["findings"]]
    return [
        (_("Days"), f"{figures['from']} – {figures['to']}"),
        (_("Spend"), _usd(totals["spend"])),
        (_("Events"), f"{totals['events']:,}"),
        (
            _("Tokens"),
            _("%(prompt)s in, %(cached)s of them cached, %(completion)s out")
            % {
                "prompt": f"{totals['prompt_tokens']:,}",
                "cached": f"{totals['cached_tokens']:,}",
                "completion": f"{totals['completion_tokens']:,}",
            },
        ),
        (_("By model"), ", ".join(models)),
        (_("By kind"), ", ".join(kinds)),
        (_("Found to save, a month"), ", ".join(saving) or _("nothing")),
    ]


def _usd(text: str) -> str:
    return readable(Decimal(text))

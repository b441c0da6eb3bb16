"""Operators' pages for estimates: what was learned of each model, and how often its estimates held, for everybody."""

from datetime import UTC, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from core.admin import ReadOnlyAdmin
from metering.estimates.accuracy import DAYS, accuracy_of
from metering.estimates.calibration import prior_of
from metering.estimates.content import CLASSES
from metering.estimates.learning import read_calibration
from metering.estimates.models import EstimateAccuracy, TokenCalibration
from metering.templatetags.estimates import share_text

_WEIGHTS = (*CLASSES, "each message", "each call")


@admin.register(TokenCalibration)
class TokenCalibrationAdmin(ReadOnlyAdmin):
    """Each model's tokens for one of ours, and the past thirty days of its estimates."""

    list_display = ["model", "counted", "calls", "measured", "contained", "mean_error", "learned_at"]
    search_fields = ["model"]
    fields = ["model", "vocabulary", "calls", "learned_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[TokenCalibration]:
        """With the sums of the past days."""
        first = timezone.now().astimezone(UTC).date() - timedelta(days=DAYS - 1)
        recent = EstimateAccuracy.objects.filter(model=OuterRef("pk"), day__gte=first).order_by().values("model")

        def total(name: str) -> Subquery:
            return Subquery(recent.annotate(total=Sum(name)).values("total"))

        return (
            super()
            .get_queryset(request)
            .annotate(prompts=total("prompts"), inside=total("prompts_inside"), errors=total("error"))
        )

    @admin.display(description="Counted")
    def counted(self, row: TokenCalibration) -> str:
        """In which vocabulary, and whether it is the model's own."""
        calibration = read_calibration(row)
        return f"{row.vocabulary} ({'its own' if calibration.family.is_exact else calibration.basis})"

    @admin.display(description="Calls of 30 days", ordering="prompts")
    def measured(self, row: Any) -> int:
        """How many were judged."""
        return row.prompts or 0

    @admin.display(description="In the interval")
    def contained(self, row: Any) -> str:
        """Against nine in ten."""
        return share_text(row.inside / row.prompts if row.prompts else None)

    @admin.display(description="Mean error")
    def mean_error(self, row: Any) -> str:
        """Of the likely count."""
        return share_text(row.errors / row.prompts if row.prompts else None)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The row, the weights behind it and how far off they may be."""
        row = self.get_object(request, unquote(object_id))
        if row is not None:
            extra_context = {**(extra_context or {}), "weights": _weights(row)}
        return super().change_view(request, object_id, form_url, extra_context)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list, below the figures of all models together."""
        total = accuracy_of(None, at=timezone.now()).total
        return super().changelist_view(request, {**(extra_context or {}), "accuracy": total})


def _weights(row: TokenCalibration) -> list[dict[str, Any]]:
    calibration = read_calibration(row)
    prior = prior_of(calibration.family)
    return [
        {
            "name": name,
            "weight": f"{calibration.fit.weights[place]:.3f}",
            "spread": f"{calibration.fit.spread_of(place):.3f}",
            "before": f"{prior.means[place]:.2f}",
        }
        for place, name in enumerate(_WEIGHTS)
    ]

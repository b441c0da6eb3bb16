"""The operators' front page."""

from django import template
from django.template import RequestContext
from django.utils import timezone
from django.utils.dateformat import format as date_format
from django.utils.translation import gettext as _

from config.figures import RANGES, Figures, figures_at
from core.charts import Chart, ChartRow

register = template.Library()

_PLACE = "_business_figures"
_DEFAULT = 30


@register.simple_tag(takes_context=True)
def business_figures(context: RequestContext) -> Figures | None:
    """The business at a glance, for those who may see the ledger; asked for once a request."""
    request = context["request"]
    if not hasattr(request, _PLACE):
        may_see = request.user.has_perm("credits.view_ledgerentry")
        chosen = request.GET.get("days", "")
        days = int(chosen) if chosen in map(str, RANGES) else _DEFAULT
        setattr(request, _PLACE, figures_at(timezone.now(), days=days) if may_see else None)
    return getattr(request, _PLACE)


@register.simple_tag
def figure_ranges() -> tuple[int, ...]:
    """How many days may be looked at."""
    return RANGES


@register.filter
def business_chart(figures: Figures) -> Chart:
    """What usage was charged, day by day: the provider's part and ours."""
    return Chart(
        label=_("Usage charged by day: provider’s cost and margin"),
        axis=_("Day (UTC)"),
        names=[_("Provider’s cost"), _("Margin")],
        rows=[ChartRow(date_format(day.day, "M j"), [day.cost, day.margin]) for day in figures.business.days],
    )

"""The operators' front page."""

from django import template
from django.template import RequestContext
from django.utils import timezone

from config.figures import Figures, figures_at

register = template.Library()

_PLACE = "_business_figures"


@register.simple_tag(takes_context=True)
def business_figures(context: RequestContext) -> Figures | None:
    """The business at a glance, for those who may see the ledger; asked for once a request."""
    request = context["request"]
    if not hasattr(request, _PLACE):
        may_see = request.user.has_perm("credits.view_ledgerentry")
        setattr(request, _PLACE, figures_at(timezone.now()) if may_see else None)
    return getattr(request, _PLACE)

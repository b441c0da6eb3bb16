"""Lengths of time in words, for buyers."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

_EVERY: dict[str, str | Promise] = {
    "day": _("a day"),
    "week": _("a week"),
    "month": _("a month"),
    "year": _("a year"),
}
_SPANS = {
    "day": ngettext_lazy("%d day", "%d days"),
    "week": ngettext_lazy("%d week", "%d weeks"),
    "month": ngettext_lazy("%d month", "%d months"),
    "year": ngettext_lazy("%d year", "%d years"),
}


def span(interval: str | None, count: int | None) -> str:
    """``1 month``, ``14 days``; an interval that is not known as it stands."""
    words = _SPANS.get(interval or "")
    return str(words % (count or 1)) if words else f"{count or 1} {interval}"


def every(interval: str | None, count: int | None) -> str:
    """After a price: ``a month``, ``every 3 months``."""
    if (count or 1) == 1 and interval in _EVERY:
        return str(_EVERY[interval])
    return str(_("every %s") % span(interval, count))

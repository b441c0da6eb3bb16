"""Estimates in templates."""

from django import template

register = template.Library()


@register.filter
def share_text(share: float | None) -> str:
    """``91.2 %`` of a share between 0 and 1, ``100 %`` for all, a dash for none measured."""
    if share is None:
        return "–"
    return f"{share * 100:.0f} %" if share in (0, 1) else f"{min(max(share * 100, 0.1), 99.9):.1f} %"

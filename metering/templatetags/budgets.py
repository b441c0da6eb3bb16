"""Budgets in templates."""

from decimal import Decimal

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from core.money import ZERO
from metering.budgets.forms import PERIOD_LABELS, SCOPE_LABELS
from metering.budgets.models import Budget, Period, Scope
from metering.budgets.state import EXCEEDED, OK, PENDING, WARNING, BudgetState

register = template.Library()

_WIDTH = Decimal(200)  # of the picture, in its own units
_TONES = {OK: "ok", WARNING: "warn", EXCEEDED: "bad", PENDING: "ok"}


@register.simple_tag
def budget_bar(state: BudgetState) -> SafeString:
    """Spent and held beside the thresholds; decoration of the figures next to it."""
    return _bar(state.amount, state.spent, state.held, _TONES[state.status], state.budget.thresholds)


@register.simple_tag
def window_bar(amount: Decimal, spent: Decimal) -> SafeString:
    """The same of a window that is over."""
    return _bar(amount, spent, ZERO, "bad" if spent > amount else "past", ())


@register.simple_tag
def budget_badge(state: BudgetState) -> SafeString:
    """How it stands, in a word."""
    if state.status == PENDING:
        return format_html('<span class="badge">{}</span>', _("Begins later"))
    if state.status == EXCEEDED:
        words = (
            _("Calls are refused")
            if state.budget.blocks
            else _("Exceeded")
            if state.spent > state.amount
            else _("Used up")
        )
        return format_html('<span class="badge badge-bad">{}</span>', words)
    if state.status == WARNING:
        return format_html('<span class="badge badge-warn">{}</span>', _("Nearly used up"))
    return format_html('<span class="badge badge-good">{}</span>', _("Within budget"))


@register.filter
def whose(state: BudgetState) -> str:
    """Whose usage it counts."""
    label = str(SCOPE_LABELS[Scope(state.budget.scope)])
    return label if not state.subject_name else state.subject_name


@register.filter
def how_often(budget: Budget) -> str:
    """When it begins anew."""
    return _("In all") if budget.period == Period.TOTAL else str(PERIOD_LABELS[Period(budget.period)])


@register.filter
def per_cent(value: Decimal) -> str:
    """A percentage as it is, without noughts at its end."""
    return f"{Decimal(value).normalize():f}"


@register.filter
def whole_per_cent(value: Decimal) -> str:
    """How much is used, cut down to whole per cent: 99 until all of it is."""
    return f"{int(value):,}"


def _bar(amount: Decimal, spent: Decimal, held: Decimal, tone: str, marks: "list[Decimal] | tuple[()]") -> SafeString:
    part = min(spent / amount, Decimal(1)) * _WIDTH
    reserved = min(held / amount * _WIDTH, _WIDTH - part)
    lines = ((f"{mark / 100 * _WIDTH:.2f}",) * 2 for mark in marks if mark < 100)
    return format_html(
        '<svg class="budget-bar" viewBox="0 0 {size} 8" preserveAspectRatio="none" aria-hidden="true"'
        ' focusable="false">'
        '<rect class="bar-track" width="{size}" height="8"></rect>'
        '<rect class="budget-{tone}" width="{part}" height="8"></rect>'
        '<rect class="budget-held" x="{part}" width="{held}" height="8"></rect>{marks}</svg>',
        size=_WIDTH,
        tone=tone,
        part=f"{part:.2f}",
        held=f"{reserved:.2f}",
        marks=format_html_join("", '<line class="budget-mark" x1="{}" x2="{}" y1="0" y2="8"></line>', lines),
    )

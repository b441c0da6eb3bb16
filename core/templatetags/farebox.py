"""Money, numbers, times and icons in templates."""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Literal

from django import template
from django.forms import BoundField
from django.template import RequestContext
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from core import amounts
from core.charts import MONEY, ChartRow
from core.money import ZERO, to_wire

register = template.Library()

_UNITS = ((1_000_000_000, "B"), (1_000_000, "M"), (10_000, "k"))
_BAR = 100  # units of a share bar's own coordinates
_SECOND, _MINUTE = 1_000, 60_000  # milliseconds
_LINES = 6  # colours of chart lines; the last is for all others


@register.filter
def money(amount: Decimal | str | None) -> str | SafeString:
    """A readable amount; every digit on hover, and on keyboard focus of its row (see ``.money`` in the stylesheet)."""
    return _money(amount, "")


@register.filter
def money_stat(amount: Decimal | str | None) -> str | SafeString:
    """A readable amount that takes keyboard focus itself, for figures that stand alone."""
    return _money(amount, SafeString(' tabindex="0"'))


@register.filter
def money_signed(amount: Decimal) -> SafeString:
    """A movement: green with a plus when credit is added."""
    sign = " money-in" if amount > 0 else ""
    return format_html('<abbr class="money{}" title="{}">{}</abbr>', sign, amounts.full(amount), amounts.signed(amount))


@register.filter
def money_full(amount: Decimal | str | None) -> str | SafeString:
    """Every digit."""
    return _dash() if amount is None else format_html('<span class="money">{}</span>', amounts.full(Decimal(amount)))


@register.filter
def money_big(amount: Decimal) -> SafeString:
    """A balance to watch: large dollars and cents, small digits after them."""
    dollars, rest = amounts.split(amount)
    return format_html(
        '<abbr class="money money-big" title="{}" tabindex="0">{}<small>{}</small></abbr>',
        amounts.full(amount),
        dollars,
        rest,
    )


def _money(amount: Decimal | int | str | None, attributes: str) -> str | SafeString:
    if amount is None:
        return _dash()
    # digits and signs alone: nothing to escape, and a page has a thousand of them
    readable, full = amounts.readable(Decimal(amount)), amounts.full(Decimal(amount))
    if readable == full:
        return SafeString(f'<span class="money">{readable}</span>')
    return SafeString(f'<abbr class="money" title="{full}"{attributes}>{readable}</abbr>')


def _dash() -> SafeString:
    return SafeString('<span class="muted" aria-label="none" role="img">–</span>')


@register.filter
def grouped(number: int | Decimal | None) -> str | SafeString:
    """``1,234,567``."""
    return _dash() if number is None or number == "" else f"{number:,}"


@register.filter
def compact(number: int) -> str | SafeString:
    """``1.2M``, with the whole number on hover."""
    for size, unit in _UNITS:
        if number >= size:
            text = f"{number / (1000 if unit == 'k' else size):.1f}".removesuffix(".0")
            return format_html('<abbr title="{}">{}{}</abbr>', f"{number:,}", text, unit)
    return f"{number:,}"


@register.simple_tag
def chart_cells(row: ChartRow, unit: str, has_total: bool) -> SafeString:
    """The figures of one row of a chart's table, each with what the script draws, empty where there is nothing.

    Made of numbers alone, in one go: a chart of a quarter has hundreds.
    """
    cells = [
        f'<td class="number" data-value="{"" if value is None else to_wire(Decimal(value))}">'
        f"{_chart_figure(value, unit)}</td>"
        for value in row.values
    ]
    if has_total:
        cells.append(f'<td class="number" data-total>{_chart_figure(row.total, unit)}</td>')
    return SafeString("".join(cells))


def _chart_figure(value: Decimal | int | None, unit: str) -> str | SafeString:
    """An amount or a count; a dash where there is nothing to say."""
    if value is None:
        return _dash()
    if unit == MONEY:
        return _money(value, "") if value else "$0"
    return f"{int(value):,}"


@register.filter
def percent_change(change: int) -> str:
    """``12``, ``−7``, ``1,240``: whole per cent without the sign of growth."""
    return f"{change:,}".replace("-", "\u2212")


@register.filter
def percent(share: Decimal) -> str:
    """``12 %``, ``0.4 %``, ``< 0.1 %`` of a share between 0 and 1."""
    hundredths = share * 100
    if hundredths >= 10 or not hundredths:
        return f"{hundredths:.0f} %"
    return f"{hundredths:.1f} %" if hundredths >= Decimal("0.1") else "< 0.1 %"


@register.simple_tag
def series(number: int) -> int:
    """The colour of a chart's line by its place; from the last one on they share it."""
    return min(number, _LINES)


@register.filter
def moment(at: datetime | None, style: str = "short") -> str | SafeString:
    """A time in the reader's zone; ``short`` (Mar 2, 14:03), ``long`` (with year, seconds and zone) or ``day``."""
    if at is None:
        return _dash()
    local = timezone.localtime(at)
    text = {"short": _short(local), "long": _long(local), "day": _day(local)}[style]
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), _long(local), text)


def _short(local: datetime) -> str:
    return format_date(local, "M j, H:i" if local.year == timezone.localtime().year else "M j, Y, H:i")


def _long(local: datetime) -> str:
    return format_date(local, "M j, Y, H:i:s T")


def _day(local: datetime) -> str:
    return format_date(local, "M j, Y")


@register.filter
def ago(at: datetime | None) -> str | SafeString:
    """``4 min ago`` up to a day, then the time."""
    if at is None:
        return _dash()
    seconds = (timezone.now() - at).total_seconds()
    if not -60 < seconds < 86_400:
        return moment(at)
    if seconds < 60:
        text = gettext("just now")
    elif seconds < 3600:
        text = gettext("%d min ago") % (seconds // 60)
    else:
        text = gettext("%d h ago") % (seconds // 3600)
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), _long(timezone.localtime(at)), text)


@register.filter
def roughly(span: timedelta) -> str:
    """A length of time in one unit: ``45 minutes``, ``7 hours``, ``12 days``, ``over 2 years``."""
    hours = span.total_seconds() / 3600
    if hours > 2 * 24 * 365:
        return gettext("over 2 years")
    for size, one, many in ((24, "%d day", "%d days"), (1, "%d hour", "%d hours")):
        if hours >= 2 * size:
            return ngettext(one, many, int(hours / size)) % int(hours / size)
    return ngettext("%d minute", "%d minutes", int(hours * 60)) % int(hours * 60)


@register.filter
def until(at: datetime) -> str:
    """How far off a time is, in one unit: ``45 minutes``, ``12 days``."""
    return roughly(max(at - timezone.now(), timedelta()))


@register.filter
def duration(milliseconds: int | Literal[""] | None) -> str | SafeString:
    """``810 ms``, ``5.1 s``, ``2 min 59 s``, with every millisecond on hover; a dash where nothing was timed.

    What a template does not find comes as empty text.
    """
    if milliseconds is None or milliseconds == "":
        return _dash()
    exact = f"{milliseconds:,} ms"
    if milliseconds < _SECOND:
        return exact
    if milliseconds < _MINUTE - _SECOND // 20:
        text = f"{milliseconds / _SECOND:.1f} s"
    else:
        text = "{} min {} s".format(*divmod(round(milliseconds / _SECOND), 60))
    return format_html('<span title="{}" class="nowrap">{}</span>', exact, text)


@register.simple_tag
def icon(name: str) -> SafeString:
    """A decorative icon of the sprite, hidden from screen readers."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>', _sprite(), name
    )


@cache
def _sprite() -> str:
    """Where the sprite is, which does not change while we run; a page has dozens of icons."""
    return static("img/icons.svg")


@register.simple_tag
def share_bar(part: Decimal | int, whole: Decimal | int, tone: int = 1) -> SafeString:
    """A bar for ``part`` of ``whole`` in the colour of a chart's line; decoration beside the figure it shows."""
    share = min(max(Decimal(part) / Decimal(whole), ZERO), Decimal(1)) if whole else ZERO
    return format_html(
        '<svg class="bar" viewBox="0 0 {size} 4" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="bar-track" width="{size}" height="4" rx="2"></rect>'
        '<rect class="bar-{tone}" width="{width}" height="4" rx="2"></rect></svg>',
        size=_BAR,
        tone=min(tone, _LINES),
        width=f"{share * _BAR:.2f}",
    )


@register.filter
def without_placeholder(field: BoundField) -> SafeString:
    """The control without grey text inside; its label says the same."""
    return field.as_widget(attrs={"placeholder": False})


@register.filter
def money_whole(amount: Decimal) -> str:
    """A price tag: ``$30``, and cents only where there are some."""
    return amounts.readable(amount).removesuffix(".00")


@register.filter
def money_text(amount: Decimal) -> str:
    """A readable amount as bare text, for sentences and labels."""
    return amounts.readable(amount)


@register.filter
def money_digits(amount: Decimal) -> str:
    """Every digit as bare text, for letters."""
    return amounts.full(amount)


@register.filter
def plain(number: Decimal) -> str:
    """``1,234.5``, without trailing zeros."""
    return f"{number.normalize():,f}"


@register.filter
def wire(amount: Decimal) -> str:
    """Plain digits, for scripts and form fields."""
    return to_wire(amount)


@register.simple_tag(takes_context=True)
def nav_link(
    context: RequestContext, name: str, label: str, icon_name: str, count: str = "", also: str = ""
) -> SafeString:
    """A link of the navigation; the one whose pages are being read, or those of ``also``, is marked.

    ``count``: how much there is anew.
    """
    address = reverse(name)
    places = (address, reverse(also)) if also else (address,)
    current = format_html(' aria-current="{}"', "page") if context["request"].path.startswith(places) else ""
    new = format_html('<span class="count count-new">{}<span class="sr-only"> {}</span></span>', count, gettext("new"))
    return format_html('<a href="{}"{}>{}{}{}</a>', address, current, icon(icon_name), label, new if count else "")

"""Reports as files: PDF and CSV."""

import csv
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any
from uuid import UUID
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from core import amounts
from core.csvlines import inert
from core.money import ZERO
from outbox.attachments import File, attaches
from reports.figures import Shown, shown
from reports.models import Format, Report

_INK, _QUIET, _RULE = colors.HexColor("#1b1f24"), colors.HexColor("#5b6470"), colors.HexColor("#d5d9df")
_BAR = colors.HexColor("#2f6fde")
_TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=18, leading=22, textColor=_INK)
_HEAD = ParagraphStyle("head", fontName="Helvetica-Bold", fontSize=11, leading=14, textColor=_INK, spaceBefore=14)
_TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=12, textColor=_INK)
_SMALL = ParagraphStyle("small", parent=_TEXT, textColor=_QUIET)
_RIGHT = ParagraphStyle("right", parent=_TEXT, alignment=2)
_WIDTH, _HEIGHT = 170 * mm, 45 * mm
_COLUMNS = ["section", "line", "events", "errors", "prompt_tokens", "completion_tokens", "provider_cost", "markup"]


@attaches("report")
def file_of_report(key: str) -> File:
    """What goes with a report's e-mail. Raises Report.DoesNotExist."""
    report = Report.objects.get(id=UUID(key))
    name = f"report-{report.cadence}-{report.first_day:%Y-%m-%d}.{report.format}"
    if report.format == Format.CSV:
        return File(name, report_csv(shown(report)).encode(), "text/csv")
    return File(name, report_pdf(shown(report)), "application/pdf")


def report_csv(facts: Shown) -> str:
    """Totals, days and breakdowns with every digit."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow([*_COLUMNS, "charge", "previous_charge"])
    total, before = facts.figures["total"], facts.figures["previous"]
    writer.writerow(_csv_row("total", "", total, before and before["charge"]))
    for each in facts.figures["by_day"]:
        writer.writerow(["day", each["day"], *[""] * (len(_COLUMNS) - 2), each["charge"], ""])
    for heading, lines in facts.breakdowns:
        for line in lines:
            writer.writerow(_csv_row(heading.lower(), line["name"], line, line["previous"]))
    return text.getvalue()


def _csv_row(section: str, name: str, line: Any, before: str | None) -> list[Any]:
    return [section, inert(name), *(line[column] for column in _COLUMNS[2:]), line["charge"], before or ""]


def report_pdf(facts: Shown) -> bytes:
    """One A4 document."""
    target = BytesIO()
    document = SimpleDocTemplate(
        target,
        pagesize=A4,
        title=facts.title,
        author="Farebox",
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=18 * mm,
        bottomMargin=18 * mm,
    )
    parts: list[Flowable] = [
        *_head(facts),
        _totals(facts),
        Paragraph("Spend by day", _HEAD),
        Spacer(1, 2 * mm),
        _bars(facts),
    ]
    for heading, lines in facts.breakdowns:
        parts.append(KeepTogether([Paragraph(heading, _HEAD), Spacer(1, 2 * mm), _table(lines)]))
    document.build(parts)
    return target.getvalue()


def _head(facts: Shown) -> list[Flowable]:
    days = f"{facts.first:%d %B %Y} to {facts.last:%d %B %Y}, days of {facts.zone}"
    return [Paragraph(escape(facts.title), _TITLE), Paragraph(days, _SMALL), Spacer(1, 6 * mm)]


def _totals(facts: Shown) -> Table:
    total = facts.figures["total"]
    change = "nothing to compare with" if facts.change is None else f"{facts.change:+d} % against the period before"
    latency = f"{total['latency_ms']:,} ms" if "latency_ms" in total else "-"
    cells = [
        ("Charged", _usd(total["charge"]), change),
        ("of it provider cost", _usd(total["provider_cost"]), f"markup {_usd(total['markup'])}"),
        ("Calls and events", f"{total['events']:,}", f"{total['errors']:,} failed"),
        ("Tokens", f"{facts.tokens:,}", f"{total['prompt_tokens']:,} in, {total['completion_tokens']:,} out"),
        ("Mean latency", latency, ""),
    ]
    rows = [[Paragraph(a, _TEXT), Paragraph(b, _RIGHT), Paragraph(c, _SMALL)] for a, b, c in cells]
    return Table(rows, colWidths=[50 * mm, 40 * mm, 80 * mm], style=TableStyle(_PLAIN))


def _bars(facts: Shown) -> Drawing:
    """A column for each day, the highest as high as there is room."""
    days = facts.figures["by_day"]
    drawing = Drawing(_WIDTH, _HEIGHT)
    top = max((Decimal(each["charge"]) for each in days), default=ZERO)
    step = _WIDTH / max(len(days), 1)
    room = _HEIGHT - 8 * mm
    for place, each in enumerate(days):
        share = Decimal(each["charge"]) / top if top else ZERO
        height = room * int(share * 1000) / 1000
        drawing.add(Rect(place * step + 1, 5 * mm, step - 2, height, fillColor=_BAR, strokeColor=None))
    drawing.add(Line(0, 5 * mm, _WIDTH, 5 * mm, strokeColor=_RULE))
    for place in sorted({0, len(days) - 1}):
        text = f"{days[place]['day']}: {_usd(days[place]['charge'])}"
        anchor = "start" if place == 0 else "end"
        x = 0 if place == 0 else _WIDTH
        drawing.add(String(x, 1 * mm, text, fontName="Helvetica", fontSize=7, fillColor=_QUIET, textAnchor=anchor))
    return drawing


def _table(lines: Any) -> Table:
    head = ["", "Calls", "Tokens in / out", "Cost", "Charge", "Change"]
    cells: list[list[Any]] = [[Paragraph(text, _SMALL) for text in head]]
    for line in lines:
        change = "-" if line["change"] is None else f"{line['change']:+d} %"
        cells.append(
            [
                Paragraph(escape(line["name"]), _TEXT),
                Paragraph(f"{line['events']:,}", _RIGHT),
                Paragraph(f"{line['prompt_tokens']:,} / {line['completion_tokens']:,}", _RIGHT),
                Paragraph(_usd(line["provider_cost"]), _RIGHT),
                Paragraph(_usd(line["charge"]), _RIGHT),
                Paragraph(change, _RIGHT),
            ]
        )
    widths = [58 * mm, 16 * mm, 36 * mm, 22 * mm, 22 * mm, 16 * mm]
    return Table(cells, colWidths=widths, repeatRows=1, style=TableStyle(_PLAIN))


def _usd(amount: str) -> str:
    # The minus of the built-in fonts is the hyphen.
    return amounts.readable(Decimal(amount)).replace("\u2212", "-")


_PLAIN: list[Any] = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 2),
    ("TOPPADDING", (0, 0), (-1, -1), 3),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
]

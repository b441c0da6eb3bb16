"""A statement as CSV and as PDF."""

import csv
from datetime import datetime
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from core import amounts
from core.money import to_wire
from credits.statements.reading import Figures
from credits.statements.usage import UsageLine

CSV_COLUMNS = [
    "section",
    "line",
    "events",
    "prompt_tokens",
    "completion_tokens",
    "quantity",
    "cost",
    "markup",
    "amount",
]
SECTIONS = {"model": "Usage by model", "meter": "Usage by meter", "other": "Usage without an event"}


def statement_csv(figures: Figures) -> str:
    """The lines with every digit; the rows of the balance section add up, and so do usage rows to the usage line."""
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(CSV_COLUMNS)
    writer.writerow(_balance_row("opening_balance", figures.opening_balance))
    for line in figures.lines:
        writer.writerow(_balance_row(line.code, line.amount))
    writer.writerow(_balance_row("closing_balance", figures.closing_balance))
    for used in figures.usage:
        writer.writerow(
            [
                f"usage by {used.section}" if used.section != "other" else "usage without an event",
                _inert(used.label),
                used.events,
                used.prompt_tokens,
                used.completion_tokens,
                *map(to_wire, (used.quantity, used.cost, used.markup, -used.charge)),
            ]
        )
    return text.getvalue()


def _balance_row(code: str, amount: Decimal) -> list[str]:
    return ["balance", code, "", "", "", "", "", "", to_wire(amount)]


def _inert(text: str) -> str:
    """Text that a spreadsheet would run as a formula gets an apostrophe."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text


_INK, _QUIET, _RULE = colors.HexColor("#1b1f24"), colors.HexColor("#5b6470"), colors.HexColor("#d5d9df")
_TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=18, leading=22, textColor=_INK)
_HEAD = ParagraphStyle("head", fontName="Helvetica-Bold", fontSize=11, leading=14, textColor=_INK, spaceBefore=14)
_TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=12, textColor=_INK)
_SMALL = ParagraphStyle("small", parent=_TEXT, textColor=_QUIET)
_RIGHT = ParagraphStyle("right", parent=_TEXT, alignment=2)


def statement_pdf(figures: Figures, organization_name: str) -> bytes:
    """One A4 document; amounts with every digit, dates in the statement's zone."""
    target = BytesIO()
    title = f"Statement {figures.number}" if figures.number else "Statement so far"
    document = SimpleDocTemplate(
        target,
        pagesize=A4,
        title=f"{title}, {organization_name}",
        author="Farebox",
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=18 * mm,
        bottomMargin=18 * mm,
    )
    document.build([*_head(figures, title, organization_name), _balances(figures), *_usage(figures)])
    return target.getvalue()


def _head(figures: Figures, title: str, organization_name: str) -> list[Flowable]:
    period = f"{_day(figures, figures.starts_at)} to {_day(figures, figures.ends_at)} ({figures.zone.key})"
    what = " · ".join(filter(None, [organization_name, figures.title]))
    return [Paragraph(title, _TITLE), Paragraph(escape(what), _TEXT), Paragraph(period, _SMALL), Spacer(1, 6 * mm)]


def _day(figures: Figures, at: datetime) -> str:
    return f"{at.astimezone(figures.zone):%d %B %Y, %H:%M}"


def _balances(figures: Figures) -> Table:
    rows: list[tuple[str, Decimal]] = [
        ("Opening balance", figures.opening_balance),
        *((line.label, line.amount) for line in figures.lines),
        ("Closing balance", figures.closing_balance),
    ]
    if figures.overage:
        rows.append(("of which owed below zero", -figures.overage))
    cells = [[Paragraph(escape(label), _TEXT), _amount(amount)] for label, amount in rows]
    closing = len(figures.lines) + 1
    table = Table(cells, colWidths=[110 * mm, 60 * mm])
    table.setStyle(TableStyle([*_PLAIN, ("LINEABOVE", (0, closing), (-1, closing), 1, _INK)]))
    return table


def _usage(figures: Figures) -> list[Flowable]:
    parts: list[Flowable] = []
    for section, heading in SECTIONS.items():
        if lines := [line for line in figures.usage if line.section == section]:
            parts += [Paragraph(heading, _HEAD), Spacer(1, 2 * mm), _usage_table(section, lines)]
    return parts


def _usage_table(section: str, lines: list[UsageLine]) -> Table:
    is_model = section == "model"
    quantity = "Tokens in / out" if is_model else "Quantity"
    head = ["Model" if is_model else "Meter", "Events", quantity, "Cost", "Markup", "Charge"]
    cells: list[list[Any]] = [[Paragraph(text, _SMALL) for text in head]]
    for line in lines:
        used = f"{line.prompt_tokens:,} / {line.completion_tokens:,}" if is_model else to_wire(line.quantity)
        cells.append(
            [
                Paragraph(escape(line.label or "Without an event"), _TEXT),
                Paragraph(f"{line.events:,}", _RIGHT),
                Paragraph(used, _RIGHT),
                *map(_amount, (line.cost, line.markup, line.charge)),
            ]
        )
    table = Table(cells, colWidths=[52 * mm, 16 * mm, 30 * mm, 24 * mm, 24 * mm, 24 * mm], repeatRows=1)
    table.setStyle(TableStyle(_PLAIN))
    return table


def _amount(amount: Decimal) -> Paragraph:
    # The minus of the built-in fonts is the hyphen.
    return Paragraph(amounts.full(amount).replace("\u2212", "-"), _RIGHT)


_PLAIN: list[Any] = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
    ("LEFTPADDING", (0, 0), (-1, -1), 2),
    ("RIGHTPADDING", (0, 0), (-1, -1), 2),
    ("TOPPADDING", (0, 0), (-1, -1), 3),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
]

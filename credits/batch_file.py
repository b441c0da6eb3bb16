"""Reading a file of movements: CSV with one movement a line, every cell checked before anything moves."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_date, parse_datetime

from accounts.models import Organization
from core.errors import InvalidRequest
from core.money import InvalidAmount, parse_money
from credits.models import LotKind

COLUMNS = ("organization", "action", "amount", "kind", "expires_at", "charge", "reason")
ACTIONS = ("grant", "deduct", "adjust", "refund")
GRANTABLE = (LotKind.BONUS, LotKind.PURCHASED, LotKind.ALLOCATED)
MOST_ROWS = 2_000
_LONGEST_REASON = 300


@dataclass(slots=True)
class Line:
    """One line of the file: what it says, or every reason why it cannot be."""

    number: int
    cells: dict[str, str]
    organization: UUID | None = None
    action: str = ""
    amount: Decimal | None = None
    kind: str = ""
    expires_at: datetime | None = None
    charge: UUID | None = None
    reason: str = ""
    note: str = ""
    errors: list[str] = field(default_factory=list)


def read_lines(content: bytes, at: datetime) -> list[Line]:
    """Every line of the file, checked as far as its cells and the list of organizations go.

    Raises InvalidRequest when it is no such file: not UTF-8, unknown or missing columns, no line or too many.
    """
    rows = _rows(content)
    lines = [_line(number, cells, at) for number, cells in rows]
    _find_organizations(lines)
    _note_repetitions(lines)
    return lines


def _rows(content: bytes) -> list[tuple[int, dict[str, str]]]:
    """The lines below the first with their numbers, as an editor counts them; empty ones are passed over."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest("The file is not UTF-8 text. Save it as “CSV UTF-8”.") from None
    if "\0" in text:
        raise InvalidRequest("The file is not text.")
    head = text.split("\n", 1)[0]
    delimiter = ";" if head.count(";") > head.count(",") else ","
    try:
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
        table = [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise InvalidRequest(f"The file is not CSV: {error}.") from None
    names = [name.strip().lower() for name in table[0][1]] if table else []
    _check_columns(names)
    if not 1 <= len(table) - 1 <= MOST_ROWS:
        raise InvalidRequest(f"A file has 1 to {MOST_ROWS:,} lines below its first; this one has {len(table) - 1:,}.")
    return [(number, _cells(names, row)) for number, row in table[1:]]


def _check_columns(names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    missing = [name for name in ("organization", "action", "amount") if name not in names]
    if unknown or missing or len(set(names)) < len(names):
        raise InvalidRequest(
            f"The first line names the columns: organization, action, amount and, where needed, kind, expires_at, "
            "charge, reason; each once. "
            f"Unknown: {', '.join(unknown) or 'none'}. Missing: {', '.join(missing) or 'none'}."
        )


def _cells(names: list[str], row: list[str]) -> dict[str, str]:
    cells = {name: value.strip() for name, value in zip(names, row, strict=False)}
    return cells | ({"": " ".join(row[len(names) :])} if len(row) > len(names) else {})


def _line(number: int, cells: dict[str, str], at: datetime) -> Line:
    line = Line(number, cells, action=cells.get("action", "").lower(), reason=cells.get("reason", ""))
    if "" in cells:
        line.errors.append("There are more cells than columns.")
    if line.action not in ACTIONS:
        line.errors.append(f"The action is one of {', '.join(ACTIONS)}.")
        line.action = ""
    if len(line.reason) > _LONGEST_REASON:
        line.errors.append(f"A reason has at most {_LONGEST_REASON} characters.")
        line.reason = line.reason[:_LONGEST_REASON]
    _read_amount(line)
    _read_grant(line, at)
    line.charge = _uuid(line, "charge") if line.action == "refund" else None
    if line.action == "refund" and not cells.get("charge"):
        line.errors.append("A refund needs the charge: the id of a ledger entry.")
    if line.action != "refund" and cells.get("charge"):
        line.errors.append("Only a refund has a charge.")
    return line


def _read_amount(line: Line) -> None:
    text = line.cells.get("amount", "")
    if not text:
        if line.action != "refund":
            line.errors.append("There is no amount.")
        return
    try:
        amount = parse_money(text)
    except InvalidAmount as error:
        line.errors.append(str(error))
        return
    if amount == 0 or (amount < 0 and line.action != "adjust"):
        line.errors.append("The amount is positive; only an adjustment may be negative.")
        return
    line.amount = amount


def _read_grant(line: Line, at: datetime) -> None:
    kind, expires = line.cells.get("kind", "").lower(), line.cells.get("expires_at", "")
    if line.action != "grant":
        if kind or expires:
            line.errors.append("Only a grant has a kind and an expiry.")
        return
    line.kind = kind or LotKind.BONUS.value
    if line.kind not in GRANTABLE:
        line.errors.append(f"The kind is one of {', '.join(each.value for each in GRANTABLE)}.")
        line.kind = ""
    if expires:
        line.expires_at = _instant(expires)
        if line.expires_at is None:
            line.errors.append(
                "The expiry is a day like 2026-12-31 (its first instant, UTC) or an instant with offset."
            )
        elif line.expires_at <= at:
            line.errors.append("The credit would expire before it can be spent.")


def _instant(text: str) -> datetime | None:
    """A day of UTC or an instant with its offset; None for anything else."""
    try:
        if day := parse_date(text):
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        moment = parse_datetime(text)
        return None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _uuid(line: Line, name: str) -> UUID | None:
    text = line.cells.get(name, "")
    try:
        return UUID(text) if text else None
    except ValueError:
        line.errors.append(f"The {name} is not an id.")
        return None


def _find_organizations(lines: Iterable[Line]) -> None:
    """One query for all: an id, or the name where exactly one live organization has it."""
    wanted = [(line, line.cells.get("organization", "")) for line in lines]
    ids = {text: found for _, text in wanted if (found := _as_uuid(text))}
    known = set(Organization.objects.filter(id__in=ids.values()).values_list("id", flat=True))
    names = {text for _, text in wanted if text and text not in ids}
    named: dict[str, list[UUID]] = {}
    for pk, name in Organization.objects.live().filter(name__in=names).values_list("id", "name"):
        named.setdefault(name, []).append(pk)
    for line, text in wanted:
        matching = [ids[text]] if text in ids and ids[text] in known else named.get(text, [])
        if len(matching) == 1:
            line.organization = matching[0]
        else:
            line.errors.append(_unknown(text, len(matching)))


def _unknown(text: str, found: int) -> str:
    if not text:
        return "There is no organization."
    return f"{found} organizations have this name: give the id." if found else "There is no such organization."


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _note_repetitions(lines: Iterable[Line]) -> None:
    seen: dict[Any, int] = {}
    for line in lines:
        same = (line.organization, line.action, line.amount, line.kind, line.charge, line.expires_at)
        if same in seen:
            line.note = f"The same as line {seen[same]}."
        seen.setdefault(same, line.number)

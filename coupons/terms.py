"""What a coupon gives and its limits, checked before anything is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.errors import InvalidRequest
from core.money import InvalidAmount, parse_money
from core.times import FIRST_DAY, LAST_DAY
from coupons.models import AppliesTo, Kind
from tiers.errors import UnknownTier
from tiers.models import Tier

MOST_PERIODS = 120
MOST_DAYS = 3_650
MOST_USES = 1_000_000_000
LONGEST_PARTNER, LONGEST_NOTE = 80, 200
_PERCENT_PLACES = 2
# The fields that say what a coupon of each kind gives: (needed, possible besides).
_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Kind.FREE_PERIOD: (("periods",), ()),
    Kind.BONUS: (("amount",), ("credit_days",)),
    Kind.PERCENT: (("percent", "applies_to"), ("periods",)),
    Kind.TIER: (("tier_slug", "periods"), ()),
}
_EFFECT_FIELDS = ("amount", "credit_days", "percent", "applies_to", "periods", "tier_slug")


@dataclass(frozen=True, slots=True)
class Limits:
    """Who may redeem a coupon, how often and when; None and empty mean without limit."""

    max_uses: int | None = None
    max_uses_per_organization: int | None = 1
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    tiers: tuple[str, ...] = ()
    first_purchase_only: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What a coupon gives (the fields of its kind only) and its limits; amounts in USD."""

    kind: str
    amount: Decimal | None = None
    credit_days: int | None = None
    percent: Decimal | None = None
    applies_to: str = ""
    periods: int | None = None
    tier_slug: str = ""
    limits: Limits = Limits()
    partner: str = ""
    note: str = ""


Problem = tuple[str, str]  # field, what is wrong with it


def check_terms(terms: Terms, *, at: datetime) -> None:
    """Raise InvalidRequest, with every field that does not fit, or UnknownTier."""
    if terms.kind not in Kind.values:
        _refuse([("type", f"A coupon is one of {', '.join(Kind.values)}.")])
    _refuse([*_effect_problems(terms), *limit_problems(terms.limits, at), *_text_problems(terms)])
    _refuse_unknown_tiers([*filter(None, [terms.tier_slug]), *terms.limits.tiers])


def check_limits(limits: Limits, *, uses: int, at: datetime) -> None:
    """The same for new limits of a coupon that was used ``uses`` times."""
    problems = list(limit_problems(limits, at, may_be_over=True))
    if limits.max_uses is not None and 1 <= limits.max_uses < uses:
        problems.append(("max_uses", f"It has been redeemed {uses} times already."))
    _refuse(problems)
    _refuse_unknown_tiers(limits.tiers)


def _effect_problems(terms: Terms) -> Iterator[Problem]:
    needed, possible = _FIELDS[terms.kind]
    for name in _EFFECT_FIELDS:
        value = getattr(terms, name)
        if name in needed and value in (None, ""):
            yield name, f"A coupon of the type {terms.kind} needs it."
        elif value not in (None, "") and name not in (*needed, *possible):
            yield name, f"A coupon of the type {terms.kind} has none."
        elif value not in (None, "") and (problem := _wrong_value(name, value)):
            yield name, problem


def _wrong_value(name: str, value: Any) -> str | None:
    if name == "amount":
        return _wrong_amount(value)
    if name == "percent":
        return _wrong_percent(value)
    if name == "applies_to":
        return None if value in AppliesTo.values else f"One of {', '.join(AppliesTo.values)}."
    if name == "tier_slug":
        return None  # looked up later
    most = MOST_DAYS if name == "credit_days" else MOST_PERIODS
    return None if 1 <= value <= most else f"From 1 to {most}."


def _wrong_amount(value: Decimal) -> str | None:
    try:
        amount = parse_money(value)
    except InvalidAmount as error:
        return str(error)
    return None if amount > 0 else "The amount must be greater than zero."


def _wrong_percent(value: Decimal) -> str | None:
    if not value.is_finite() or not 0 < value <= 100:
        return "More than 0 and at most 100."
    if value != round(value, _PERCENT_PLACES):
        return f"At most {_PERCENT_PLACES} decimal places."
    return None


def limit_problems(limits: Limits, at: datetime, *, may_be_over: bool = False) -> Iterator[Problem]:
    """What is wrong with ``limits``; an end that has passed is only right for a coupon that exists."""
    for name in ("max_uses", "max_uses_per_organization"):
        value = getattr(limits, name)
        if value is not None and not 1 <= value <= MOST_USES:
            yield name, f"From 1 to {MOST_USES}, or empty for no limit."
    for name in ("starts_at", "ends_at"):
        instant = getattr(limits, name)
        if instant is not None and not FIRST_DAY <= instant.date() <= LAST_DAY:
            yield name, f"Between {FIRST_DAY.year} and {LAST_DAY.year}."
    if limits.ends_at is not None:
        if limits.starts_at is not None and limits.ends_at <= limits.starts_at:
            yield "ends_at", "The end must be after the start."
        elif limits.ends_at <= at and not may_be_over:
            yield "ends_at", "The end has passed."


def _text_problems(terms: Terms) -> Iterator[Problem]:
    for name, longest in (("partner", LONGEST_PARTNER), ("note", LONGEST_NOTE)):
        text = getattr(terms, name)
        if len(text) > longest or not text.isprintable():
            yield name, f"At most {longest} printable characters."


def _refuse(problems: list[Problem]) -> None:
    if problems:
        errors = [{"field": field, "code": "invalid", "detail": detail} for field, detail in problems]
        raise InvalidRequest("; ".join(f"{field}: {detail}" for field, detail in problems), errors=errors)


def _refuse_unknown_tiers(slugs: "list[str] | tuple[str, ...]") -> None:
    current = set(Tier.objects.current().values_list("slug", flat=True))
    if unknown := sorted(set(slugs) - current):
        names = ", ".join(repr(slug[:60]) for slug in unknown)
        raise UnknownTier(f"There is no tier called {names}.", tiers=sorted(current))

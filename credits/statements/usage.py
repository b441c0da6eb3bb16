"""The usage line in detail: by model and by meter.

What was used is recorded further right; whoever records it registers how to read it (:func:`register_usage_detail`).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from core.jsonio import wire_form
from core.money import ZERO
from credits.statements.lines import USAGE, Range, Sums


@dataclass(slots=True, frozen=True)
class UsageLine:
    """What one model or meter was charged for. ``charge`` = ``cost`` + ``markup``, in USD."""

    section: str  # "model" or "meter"; "other" is usage without an event
    label: str
    events: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    markup: Decimal = ZERO
    charge: Decimal = ZERO


# Answers the lines of each range, in order.
UsageDetail = Callable[[Sequence[Range]], Sequence[Sequence[UsageLine]]]
_details: list[UsageDetail] = []


def register_usage_detail(detail: UsageDetail) -> UsageDetail:
    """Let ``detail`` explain the charges of statements; registered once, however often the apps start."""
    if detail not in _details:
        _details.append(detail)
    return detail


def explain_usage(ranges: Sequence[Range], sums: Sequence[Sums]) -> list[list[dict[str, Any]]]:
    """The usage lines of each range as they are stored; each list adds up to its range's usage exactly."""
    explained: list[list[UsageLine]] = [[] for _ in ranges]
    used = [place for place, each in enumerate(sums) if USAGE in each.lines]
    for detail in _details if used else ():
        for place, lines in zip(used, detail([ranges[place] for place in used]), strict=True):
            explained[place] += lines
    for place in used:
        if rest := _unexplained(explained[place], sums[place]):
            explained[place].append(UsageLine("other", "", charge=rest, markup=rest))
    return [[wire_form(asdict(line)) for line in lines] for lines in explained]


def _unexplained(lines: Sequence[UsageLine], sums: Sums) -> Decimal:
    return -sums.lines[USAGE] - sum((line.charge for line in lines), ZERO)

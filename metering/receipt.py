"""A charge as a receipt: what was used at which prices, what was added, who paid, and whether it still adds up."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from core.money import ZERO, to_wire
from credits.models import Hold, LedgerEntry
from credits.paper_trail import Part, lots_of, money_back
from metering.attempts import attempts_of
from metering.derivation import BrokenDerivation, charge_of, cost_lines
from metering.metered.steps import Step, steps_of
from metering.models import ModelPrice, UsageEvent
from metering.rating import Line
from metering.recomputing import card_of, ledger_problem, problem_of

CLASS_LABELS = {
    "prompt": _("Input tokens"),
    "completion": _("Output tokens"),
    "input_cache_read": _("Input read from cache"),
    "input_cache_write": _("Input written to cache"),
    "input_cache_write_1h": _("Input written to cache for an hour"),
    "input_audio_cache": _("Audio read from cache"),
    "audio": _("Audio input"),
    "audio_output": _("Audio output"),
    "image_token": _("Image input"),
    "internal_reasoning": _("Reasoning tokens"),
    "request": _("Request"),
    "image": _("Images"),
    "image_output": _("Images made"),
    "web_search": _("Web searches"),
    "character": _("Characters"),
    "second": _("Seconds"),
}
_SOURCES = {
    "provider": _("As the provider billed it"),
    "computed": _("Computed from the price list"),
    "estimated": _("Estimated from the price list"),
    "caller": _("As your service reported it"),
    "none": _("No provider’s cost"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what, how it was computed, and the amount in USD."""

    label: str
    sum: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Receipt:
    """Everything that a charge rests on."""

    usage: list[Row]  # the price list's view of the usage; empty when it was not asked
    cost: Decimal  # what the provider's part comes to, exact
    cost_note: str
    additions: list[Row]  # markup, fees, rounding
    charge: Decimal
    price: ModelPrice | None
    entry: LedgerEntry | None
    paid_by: list[Part]
    returned: Decimal
    hold: Hold | None
    attempts: list[dict[str, Any]]
    problem: str  # why it does not add up; empty when it does
    metered: list[Row]  # what it changed on the tier's meters, apart from the charge

    @property
    def agrees(self) -> bool:
        """Whether computing the charge again gives what was posted."""
        return not self.problem

    @property
    def released(self) -> Decimal:
        """What the hold had set aside beyond the charge, USD."""
        if self.hold is None or self.hold.settled_amount is None:
            return ZERO
        return max(self.hold.amount - self.hold.settled_amount, ZERO)


def receipt_of(event: UsageEvent) -> Receipt:
    """The receipt of ``event``; computes its charge again and compares it with event and ledger."""
    entry = _entry_of(event)
    hold = Hold.objects.filter(pk=event.hold_id, account_id=event.organization_id).first() if event.hold_id else None
    price = ModelPrice.objects.filter(pk=event.price_id).first() if event.price_id else None
    additions, cost = _recompute(event)
    steps = steps_of(event.organization_id, event.id)
    taken = -entry.amount if entry else ZERO
    return Receipt(
        usage=[_usage_row(line) for line in cost_lines(event.derivation)],
        cost=cost,
        cost_note=str(_SOURCES.get(event.cost_source, "")),
        additions=additions,
        charge=event.charge,
        price=price,
        entry=entry,
        paid_by=lots_of(entry) if entry else [],
        returned=money_back(entry) if entry else ZERO,
        hold=hold,
        attempts=attempts_of(event.organization_id, event.hold_id),
        problem=problem_of(event, card_of(price)) or ledger_problem(event, taken) or _metered_problem(steps),
        metered=[Row(step.label, step.sum, step.amount) for step in steps],
    )


def _entry_of(event: UsageEvent) -> LedgerEntry | None:
    if event.entry_id is None:
        return None
    return LedgerEntry.objects.filter(pk=event.entry_id, account_id=event.organization_id).first()


def _recompute(event: UsageEvent) -> tuple[list[Row], Decimal]:
    """What was added to the cost, and the cost; the latter alone where the stored figures contradict each other."""
    if not event.derivation and not event.charge:  # neither a price nor a cost: there was nothing to derive
        return [], event.provider_cost
    try:
        charge = charge_of(event.derivation)
    except (BrokenDerivation, KeyError):
        return [], event.provider_cost
    return [_addition_row(line) for line in charge.lines if line.price_class != "provider_cost"], charge.exact_cost


def _metered_problem(steps: list[Step]) -> str:
    wrong = [step.label for step in steps if not step.agrees]
    return str(_("Computed again, %(meter)s comes to something else.") % {"meter": wrong[0]}) if wrong else ""


def _usage_row(line: Line) -> Row:
    label = str(CLASS_LABELS.get(line.price_class, line.price_class))
    return Row(label, f"{line.quantity:,} × ${to_wire(line.unit_price)}", line.amount)


def _addition_row(line: Line) -> Row:
    match line.price_class:
        case "percentage":
            percent = to_wire(Decimal(line.quantity) * 100)
            return Row(str(_("Markup")), f"{percent} % × ${to_wire(line.unit_price)}", line.amount)
        case "per_1k_tokens":
            fee = to_wire(line.unit_price * 1000)
            return Row(str(_("Fee by tokens")), f"{line.quantity:,} × ${fee} / 1,000", line.amount)
        case "per_request":
            return Row(str(_("Fee by request")), f"{line.quantity:,} × ${to_wire(line.unit_price)}", line.amount)
        case "rounding":
            return Row(str(_("Rounding")), str(_("half to even, 12 places")), line.amount)
        case other:
            return Row(other, "", line.amount)

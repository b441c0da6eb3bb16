"""Why an event cost what it did, in words: the receipt read aloud."""

from collections.abc import Iterator
from datetime import UTC

from core.money import to_wire
from metering.estimates.learning import SIZED, Sized
from metering.models import UsageEvent
from metering.receipt import Receipt, Row


def words_of(event: UsageEvent, receipt: Receipt) -> list[str]:
    """Sentences from what was used to who paid; every figure is exact."""
    return list(_sentences(event, receipt))


def _sentences(event: UsageEvent, receipt: Receipt) -> Iterator[str]:
    what = f" “{event.model or event.name}”" if event.model or event.name else ""
    yield f"{event.kind.capitalize()}{what} on {event.occurred_at.astimezone(UTC):%Y-%m-%d at %H:%M:%S} UTC."
    if receipt.price is not None:
        since, until = receipt.price.effective_from.astimezone(UTC), receipt.price.effective_to
        ended = f" until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if until else ""
        yield f"The price list of {since:%Y-%m-%d %H:%M} UTC{ended} ({receipt.price.source}) applied."
    if rerated := event.derivation.get("rerated"):
        yield f"It was charged anew by a corrected price: {rerated['reason']}"
    yield from _how_it_was_routed(event)
    yield from _how_it_was_sized(event)
    if len(receipt.attempts) > 1:
        failed = sum(not attempt["answered"] for attempt in receipt.attempts)
        yield f"The provider was asked {len(receipt.attempts)} times; {failed} of them brought no answer."
    for row in receipt.usage:
        yield _line(row)
    yield f"{receipt.cost_note}, the provider's part is ${to_wire(receipt.cost)}."
    for row in receipt.additions:
        yield _line(row)
    yield from _how_it_was_charged(event, receipt)
    yield from _who_paid(receipt)
    for row in receipt.metered:
        yield f"Meter “{row.label}”: {row.sum}: ${to_wire(row.amount)}."
    if event.voided_at is not None:
        yield f"It was taken back on {event.voided_at.astimezone(UTC):%Y-%m-%d} and counts no longer."
    yield (
        "Computed again from the stored figures it comes to the same amount."
        if receipt.agrees
        else f"It does not add up: {receipt.problem}"
    )


def _how_it_was_routed(event: UsageEvent) -> Iterator[str]:
    if requested := event.metadata.get("requested"):
        yield f"{requested} was asked for; {event.metadata.get('served')} answered, and is what was priced."
    rule = event.metadata.get("routing_rule")
    if isinstance(rule, dict):
        if rule.get("replaces"):
            yield f"By a routing rule {rule.get('model')} was asked in place of {rule['replaces']}."
        if rule.get("max_tokens"):
            yield f"By a routing rule its answer was limited to {rule['max_tokens']:,} tokens."
        added = [f"{', '.join(rule['fallbacks'])} to fall back to"] if rule.get("fallbacks") else []
        added += ["preferences among providers"] if rule.get("provider") else []
        if added:
            yield f"The operator's routing rule for {rule.get('match')} added {' and '.join(added)}."


def _how_it_was_sized(event: UsageEvent) -> Iterator[str]:
    try:
        sized = Sized.read(event.derivation[SIZED])
    except (KeyError, TypeError, ValueError):
        return
    classes = ", ".join(f"{count:,} of {name}" for name, count in sized.makeup.tokens.items())
    yield (
        f"Before the call its prompt was counted as {sized.makeup.total:,} tokens ({classes}), and held for as at most "
        f"{sized.most:,}; the provider counted {event.prompt_tokens:,}."
    )


def _line(row: Row) -> str:
    return f"{row.label}: {row.sum + ' = ' if row.sum else ''}${to_wire(row.amount)}."


def _how_it_was_charged(event: UsageEvent, receipt: Receipt) -> Iterator[str]:
    if event.is_byok:
        yield f"It was paid with your own provider key (${to_wire(event.byok_cost)}), so it costs no credits."
    elif not event.charge:
        yield "It costs no credits."
    else:
        tier = f" on the {event.tier_slug} tier" if event.tier_slug else ""
        yield f"Together{tier}: ${to_wire(event.charge)}."
    if receipt.hold is not None:
        yield f"${to_wire(receipt.hold.amount)} had been set aside for it; ${to_wire(receipt.released)} was given back."


def _who_paid(receipt: Receipt) -> Iterator[str]:
    for part in receipt.paid_by:
        source = "credit below zero" if part.lot is None else f"{part.kind} credit"
        source += f" ({part.reason})" if part.reason else ""
        yield f"${to_wire(-part.amount)} came from {source}."
    if receipt.returned:
        yield f"${to_wire(receipt.returned)} of it has been given back."

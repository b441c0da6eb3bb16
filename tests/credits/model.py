"""A second, slow ledger in plain Python: the rules written down once more, to compare the engine with."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

ZERO = Decimal(0)


@dataclass
class PlainLot:
    name: int
    kind: str
    remaining: Decimal
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    held: Decimal = ZERO

    @property
    def free(self) -> Decimal:
        return self.remaining - self.held

    def counts(self, at: datetime) -> bool:
        return self.effective_at <= at and (self.expires_at is None or self.expires_at > at)


@dataclass
class PlainHold:
    amount: Decimal
    parts: list[tuple[PlainLot | None, Decimal]]
    expires_at: datetime
    status: str = "open"


@dataclass
class PlainCharge:
    """Where a charge came from, in the order taken, and how much of it was given back."""

    parts: list[tuple[PlainLot | None, Decimal]]
    refunded: Decimal = ZERO

    @property
    def amount(self) -> Decimal:
        return sum((part for _, part in self.parts), ZERO)


@dataclass
class PlainWallet:
    """Amounts in USD; every method returns whether it was accepted."""

    overage_limit: Decimal = ZERO
    excess: Decimal = ZERO
    charges: dict[str, PlainCharge] = field(default_factory=dict)
    lots: list[PlainLot] = field(default_factory=list)
    holds: dict[str, PlainHold] = field(default_factory=dict)
    overage: Decimal = ZERO
    overage_held: Decimal = ZERO
    granted: Decimal = ZERO
    spent: Decimal = ZERO
    expired: Decimal = ZERO
    voided: Decimal = ZERO

    @property
    def balance(self) -> Decimal:
        return sum((lot.remaining for lot in self.lots), ZERO) - self.overage

    @property
    def held(self) -> Decimal:
        return sum((lot.held for lot in self.lots), ZERO) + self.overage_held

    def sweep(self, at: datetime) -> None:
        for hold in self.holds.values():
            if hold.status == "open" and hold.expires_at <= at:
                self._give_back(hold, ZERO)
                hold.status = "expired"
        for lot in self.lots:
            if lot.expires_at is not None and lot.expires_at <= at:
                self.expired += lot.free
                lot.remaining = lot.held

    def grant(self, kind, amount, priority, at, expires_at) -> None:
        self.sweep(at)
        self.granted += amount
        settled = min(amount, self.overage) if kind == "purchased" else ZERO
        self._owe(-settled)
        self.lots.append(PlainLot(len(self.lots), kind, amount - settled, priority, at, expires_at))

    def spendable(self, at: datetime) -> Decimal:
        return sum((lot.free for lot in self.lots if lot.counts(at)), ZERO)

    def room(self) -> Decimal:
        return max(self.overage_limit - self.overage - self.overage_held, ZERO)

    def hold(self, key, amount, at, expires_at) -> bool:
        self.sweep(at)
        if amount > self.spendable(at) + self.room():
            return False
        parts = self._take(amount, at)
        for lot, part in parts:
            if lot is None:
                self.overage_held += part
            else:
                lot.held += part
        self.holds[key] = PlainHold(amount, parts, expires_at)
        return True

    def deduct(self, amount, at, key="") -> bool:
        self.sweep(at)
        if amount > self.spendable(at) + self.room():
            return False
        parts = self._take(amount, at)
        self._spend(parts)
        self.charges[key] = PlainCharge(parts)
        return True

    def refund(self, key, amount, at) -> bool:
        """What was taken last is given back first: to its lot, against what is owed, else as a fresh lot."""
        self.sweep(at)
        charge = self.charges[key]
        if amount > charge.amount - charge.refunded:
            return False
        before, fresh, rest = charge.refunded, ZERO, amount
        charge.refunded += amount
        self.spent -= amount
        for lot, part in reversed(charge.parts):
            skipped = min(before, part)
            before -= skipped
            back = min(rest, part - skipped)
            rest -= back
            if lot is None:
                settled = min(back, self.overage)
                fresh += back - settled
                if back:
                    self._owe(-settled)
            elif lot.expires_at is not None and lot.expires_at <= at:
                fresh += back
            else:
                lot.remaining += back
        if fresh:
            self.lots.append(PlainLot(len(self.lots), "refund", fresh, 40, at, None))
        return True

    def void(self, name, at) -> bool:
        """Take back what is neither spent nor held of a lot."""
        self.sweep(at)
        lot = self.lots[name]
        if not lot.free:
            return False
        self.voided += lot.free
        lot.remaining = lot.held
        return True

    def settle(self, key, amount, at) -> bool:
        hold = self.holds[key]
        if hold.status != "open":
            return False
        rest = self._give_back(hold, amount)
        parts = self._take(rest, at)
        self._spend(parts)
        if parts and parts[-1][0] is None:
            self.excess = max(self.excess, self.overage + self.overage_held - self.overage_limit)
        hold.status = "settled"
        self._sweep_lots(at)
        return True

    def release(self, key, at) -> bool:
        hold = self.holds[key]
        if hold.status != "open":
            return False
        self._give_back(hold, ZERO)
        hold.status = "released"
        self._sweep_lots(at)
        return True

    def _sweep_lots(self, at) -> None:
        """Ending a hold gives expired credit nothing back; other accounts' deadlines are not looked at."""
        for lot in self.lots:
            if lot.expires_at is not None and lot.expires_at <= at:
                self.expired += lot.free
                lot.remaining = lot.held

    def _take(self, amount, at) -> list[tuple[PlainLot | None, Decimal]]:
        far = datetime.max.replace(tzinfo=at.tzinfo)
        parts: list[tuple[PlainLot | None, Decimal]] = []
        for lot in sorted(self.lots, key=lambda x: (x.priority, x.expires_at or far, x.name)):
            part = min(amount, lot.free) if lot.counts(at) else ZERO
            if part > 0:
                parts.append((lot, part))
                amount -= part
        return parts + ([(None, amount)] if amount > 0 else [])

    def _owe(self, change: Decimal) -> None:
        """Whoever pays back owes beyond the limit first."""
        self.overage += change
        if change < 0:
            self.excess = max(self.overage + self.overage_held - self.overage_limit, ZERO)

    def _spend(self, parts) -> None:
        for lot, part in parts:
            self.spent += part
            if lot is None:
                self.overage += part
            else:
                lot.remaining -= part

    def _give_back(self, hold, amount) -> Decimal:
        """Undo the reservation, spending up to ``amount`` of it; what is left of ``amount``."""
        for lot, reserved in hold.parts:
            part = min(amount, reserved)
            amount -= part
            self.spent += part
            if lot is None:
                self.overage_held -= reserved
                self.overage += part
            else:
                lot.held -= reserved
                lot.remaining -= part
        return amount

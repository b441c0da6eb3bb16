"""Ninety days of the demo companies in the order in which they happened, so that the books are as if they had."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from django.db import connection

from accounts.models import Organization
from core.ids import uuid7
from credits.models import EntryKind, LedgerEntry, LotKind
from credits.services import (
    HoldRequest,
    deduct_credits,
    expire_lots,
    grant_credits,
    place_holds,
    refund_charge,
    void_lot,
)
from metering.demo import people, plans
from metering.demo.cast import COMPANIES, OPERATOR
from metering.demo.pricing import Pricer, Terms
from metering.demo.shapes import Company
from metering.demo.traffic import DAYS, Use, uses_of
from metering.records import UsageOutcome, UsageRecord
from metering.services import learn_from_usage, record_usage
from tiers.models import Tier

_EXACT_FOR = timedelta(hours=36)  # every call has its own hold and instant
_NEAR_FOR = timedelta(days=7)
_EARLIER = 7  # days by which the oldest company is older than its usage
_HOLD_FACTOR = Decimal("2.5")  # holds cover the worst case, calls cost less
_COUNTED = (1, 2, 4)  # eighths after which rows are counted: each time there are twice as many


@dataclass(slots=True)
class Books:
    """A company while its story is told; ``available`` is what the last movement left, USD."""

    company: Company
    organization: Organization
    terms: Terms
    available: Decimal = Decimal(0)
    last_charge: UUID | None = None


@dataclass(frozen=True, slots=True, order=True)
class _Happening:
    at: datetime
    order: int
    tell: Callable[[], object] = field(compare=False)


class Story:
    """Makes the companies, then tells what happened to them."""

    def __init__(self, *, at: datetime, password_hash: str, say: Callable[[str], None]) -> None:
        self._now = at
        self._password_hash = password_hash
        self._say = say
        self._pricer = Pricer()
        self._books: dict[UUID, Books] = {}
        self._components = {tier.slug: tuple(tier.components) for tier in Tier.objects.current()}

    def tell(self) -> None:
        """Write it all; the caller's transaction makes it all or nothing."""
        for company in COMPANIES:
            self._found(company)
        happenings = [*self._money(), *self._traffic(), *self._nights()]
        total = len(happenings)
        for done, happening in enumerate(sorted(happenings)):
            eighths, rest = divmod(done, total // 8 or 1)
            if rest == 0:
                self._say(f"  {happening.at:%d %b}  {done * 100 // total:3d} %")
                if eighths in _COUNTED:
                    _count_rows()
            happening.tell()
        people.note_use_of_keys()
        learn_from_usage(at=self._now, since=self._ago(DAYS))

    def shown_organization(self) -> Organization:
        """The company to look at first."""
        return next(iter(self._books.values())).organization

    # ------------------------------------------------------------ who

    def _found(self, company: Company) -> None:
        founded = self._ago(company.tiers[0][0])
        organization = people.make_company(company, self._password_hash, at=founded)
        for each in (organization, organization.test_twin):
            terms = people.make_keys(company, each, at=founded + timedelta(hours=1), first=each is organization)
            terms.components = self._components[terms.tier_slug]
            self._books[each.id] = Books(company, each, terms)
        plans.begin(organization, company, at=founded)

    def _live(self) -> Iterator[Books]:
        return (books for books in self._books.values() if not books.organization.is_test)

    # ------------------------------------------------------------ money

    def _money(self) -> Iterator[_Happening]:
        for books in self._live():
            yield from self._tier_changes(books)
            yield from self._plans(books)
        yield from self._corrections()
        for books in self._books.values():
            if books.organization.is_test and books.company.keys:
                yield self._happening(self._ago(12), self._grant, books, Decimal(10), LotKind.BONUS, "Test credit")

    def _tier_changes(self, books: Books) -> Iterator[_Happening]:
        for days, slug in books.company.tiers[1:]:
            yield self._happening(self._ago(days), self._switch, books, slug)

    def _switch(self, books: Books, slug: str, at: datetime) -> None:
        plans.switch(books.organization, books.company, slug, at=at)
        books.terms = replace(books.terms, tier_slug=slug, components=self._components[slug])

    def _plans(self, books: Books) -> Iterator[_Happening]:
        for days, what in books.company.plans:
            at = self._ago(days) if days else self._now - timedelta(hours=1)
            yield self._happening(at, plans.ACTS[what], books.organization, books.company)

    def _top_up(self, books: Books, at: datetime) -> None:
        if books.company.top_up and not books.organization.is_test and books.available < books.company.top_up[0]:
            buyer = books.company.people[0].email
            self._grant(books, books.company.top_up[1], LotKind.PURCHASED, "Credit purchase", at, actor=buyer)

    def _grant(
        self,
        books: Books,
        amount: Decimal,
        kind: str,
        reason: str,
        at: datetime,
        expires_at: datetime | None = None,
        actor: str = people.ACTOR.label,
    ) -> UUID | None:
        posting = grant_credits(
            organization_id=books.organization.id,
            amount=amount,
            kind=kind,
            reason=reason,
            actor=actor,
            at=at,
            expires_at=expires_at,
        )
        books.available = posting.available
        return posting.lot_id

    def _corrections(self) -> Iterator[_Happening]:
        """What an operator sets right: a grant made twice, a workshop paid in credit, a refund for an outage."""
        northwind, lumen, kestrel, *_ = self._live()
        yield self._happening(self._ago(33), self._grant_twice, northwind)
        yield self._happening(
            self._ago(19), self._deduct, kestrel, Decimal("12.50"), "Onboarding workshop, invoice 2041"
        )
        yield self._happening(self._ago(4), self._refund, lumen)

    def _grant_twice(self, books: Books, at: datetime) -> None:
        expires_at = at + timedelta(days=90)
        for minute in range(2):
            again = at + timedelta(minutes=minute)
            lot = self._grant(
                books, Decimal(15), LotKind.BONUS, "Conference promotion", again, expires_at, OPERATOR.email
            )
        if lot is not None:
            void_lot(
                organization_id=books.organization.id,
                lot_id=lot,
                reason="Promotion was granted twice",
                actor=OPERATOR.email,
                at=at + timedelta(minutes=26),
            )

    def _deduct(self, books: Books, amount: Decimal, reason: str, at: datetime) -> None:
        deduct_credits(organization_id=books.organization.id, amount=amount, reason=reason, actor=OPERATOR.email, at=at)

    def _refund(self, books: Books, at: datetime) -> None:
        charges = LedgerEntry.objects.filter(account_id=books.organization.id, kind=EntryKind.CHARGE)
        for charge in charges.order_by("-number")[:3]:
            refund_charge(
                organization_id=books.organization.id,
                entry_id=charge.id,
                reason="Answer was cut off by an outage",
                actor=OPERATOR.email,
                at=at,
            )

    def _nights(self) -> Iterator[_Happening]:
        """What the jobs of a night post, and which invoices an operator finds paid in the morning."""
        for day in range(DAYS + _EARLIER, -1, -1):
            yield self._happening(self._ago(day) + timedelta(seconds=1), self._night, order=2)

    def _night(self, at: datetime) -> None:
        plans.close_months(at=at)
        expire_lots(at=at)
        for books in self._live():
            plans.book_transfers(books.organization, at=at)

    # ------------------------------------------------------------ usage

    def _traffic(self) -> Iterator[_Happening]:
        uses = [(books, use) for books in self._live() if books.company.daily for use in self._uses(books)]
        uses += [
            (books, use) for books in self._books.values() if books.organization.is_test for use in self._tests(books)
        ]
        uses.sort(key=lambda pair: pair[1].occurred_at)
        for at, group in groupby(uses, key=lambda pair: self._window_end(pair[1].occurred_at)):
            yield self._happening(at, self._record, list(group), order=1)

    def _uses(self, books: Books) -> Iterable[Use]:
        founded = self._ago(books.company.tiers[0][0])
        return (use for use in uses_of(books.company, at=self._now) if use.occurred_at > founded + timedelta(hours=2))

    def _tests(self, books: Books) -> Iterable[Use]:
        """A twentieth of the last days, as tried out in the sandbox before."""
        since = self._ago(11)
        return (
            [use for use in uses_of(books.company, at=self._now) if use.occurred_at > since][::20]
            if books.company.keys
            else []
        )

    def _window_end(self, at: datetime) -> datetime:
        """When the use is posted: old ones by the hour, so that thousands fit into seconds."""
        age = self._now - at
        if age < _EXACT_FOR:
            return at
        minutes = 30 if age < _NEAR_FOR else 240
        start = at.replace(minute=at.minute - at.minute % 30, second=0, microsecond=0)
        return min(start + timedelta(minutes=minutes - (start.hour * 60 + start.minute) % minutes), self._now)

    def _record(self, uses: list[tuple[Books, Use]], at: datetime) -> None:
        for books in {id(books): books for books, _ in uses}.values():
            self._top_up(books, at)
        records = [self._pricer.record(use, books.terms) for books, use in uses]
        if self._now - at < _EXACT_FOR:
            self._record_with_hold(*records, latency_ms=uses[0][1].latency_ms, at=at)
        else:
            self._note(records, record_usage(records, at=at))

    def _record_with_hold(self, *records: UsageRecord, latency_ms: int, at: datetime) -> None:
        for record in records:
            if record.charge > 0 and record.source == "gateway":
                record.generation_id = f"gen-{int(at.timestamp())}-{uuid7().hex[-16:]}"
                self._hold(record, at)
        self._note(list(records), record_usage(records, at=at + timedelta(milliseconds=latency_ms)))

    def _hold(self, record: UsageRecord, at: datetime) -> None:
        request = HoldRequest(
            organization_id=record.organization_id,
            amount=round(record.charge * _HOLD_FACTOR, 6) or record.charge,
            key=f"gateway:{record.id}",
            expires_at=at + timedelta(minutes=15),
            purpose="gateway",
            context={"model": record.model},
        )
        [outcome] = place_holds([request], at=at)
        if outcome.status == "placed":
            record.hold_id = outcome.hold_id

    def _note(self, records: list[UsageRecord], outcomes: list[UsageOutcome]) -> None:
        for record, outcome in zip(records, outcomes, strict=True):
            if outcome.available is not None:
                self._books[record.organization_id].available = outcome.available

    # ------------------------------------------------------------ time

    def _ago(self, days: int) -> datetime:
        return self._now - timedelta(days=days)

    def _happening(self, at: datetime, tell: Callable[..., object], *args: object, order: int = 0) -> _Happening:
        return _Happening(at, order, lambda: tell(*args, at=at))


def _count_rows() -> None:
    """Let the planner know how much there is: within one transaction nobody else tells it."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE metering_usageevent, credits_ledgerentry")

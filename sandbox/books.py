"""The sandbox's own books: keys, credits and every generation, exact, rebuilt from the journal at start."""

import hashlib
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import msgspec

from sandbox.clock import Clock, day_of, windows_of
from sandbox.journal import Journal
from sandbox.money import EXACT, ZERO
from sandbox.records import (
    AnyRecord,
    Credential,
    CredentialDeleted,
    CreditsBought,
    Generation,
    Key,
    KeyDeleted,
)
from sandbox.settings import Settings
from sandbox.spend import DayTotal, Spend

WORKSPACE = "3f2b6a52-7f0e-4a3b-9a55-5ee6c2b1a001"

_decode = msgspec.json.Decoder(AnyRecord).decode
_encode = msgspec.json.Encoder().encode


def hash_of(secret: str) -> str:
    """How OpenRouter names a key: SHA-256 of the key string, hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def label_of(secret: str) -> str:
    """The part of a key that may be shown."""
    return f"{secret[:12]}...{secret[-3:]}"


class Books:
    """All state that must outlive the process, and the sums over it."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._journal: Journal | None = None
        self._forget()
        if settings.data_dir is not None:
            path = Path(settings.data_dir) / "sandbox-journal.jsonl"
            self._journal = Journal(path, buffered=settings.fast)
            for line in self._journal.replay():
                self._apply(_decode(line))
        self._seed()

    def _forget(self) -> None:
        self.born = time.perf_counter()  # calls that started earlier belong to no books any more
        self.keys: dict[str, Key] = {}  # by hash, oldest first
        self.spend: defaultdict[str, Spend] = defaultdict(Spend)
        self.generations: dict[str, Generation] = {}
        self.days: dict[tuple[str, int, str, str], DayTotal] = {}
        self.credentials: dict[str, Credential] = {}
        self.total_credits = ZERO
        self.total_usage = ZERO
        self.byok_month = (0, ZERO)  # month number, list price of the account's BYOK traffic in it
        self._by_bearer: dict[bytes, Key] = {}

    def _seed(self) -> None:
        settings, now = self._settings, self._clock.now()
        if not self.total_credits:
            self.write(CreditsBought(amount=settings.credits, at=now))
        self._seed_key(settings.management_key, "sandbox management", management=True)
        self._seed_key(settings.api_key, "sandbox inference")
        self._seed_key(settings.byok_key, "sandbox with its own provider key", byok=True)
        self._seed_key(settings.customer_key, "a customer's own account", foreign=True)

    def _seed_key(self, secret: str, name: str, **flags: bool) -> None:
        if hash_of(secret) not in self.keys:
            self.write(self.new_key(secret, name, **flags))

    def new_key(self, secret: str, name: str, **fields: object) -> Key:
        """A key record for a key string; not yet in the books."""
        return msgspec.convert(
            {
                "type": "key",
                "hash": hash_of(secret),
                "label": label_of(secret),
                "name": name,
                "created_at": self._clock.now(),
                "workspace_id": WORKSPACE,
                **fields,
            },
            Key,
        )

    def write(self, record: AnyRecord) -> None:
        """Journal a fact, then count it."""
        if self._journal is not None:
            self._journal.append(_encode(record), gather=type(record) is Generation)
        self._apply(record)

    def _apply(self, record: AnyRecord) -> None:
        match record:
            case Generation():
                self._count(record)
            case Key():
                self.keys[record.hash] = record
                self._by_bearer.clear()
            case KeyDeleted():
                self.keys.pop(record.hash, None)
                self._by_bearer.clear()
            case CreditsBought():
                self.total_credits = EXACT.add(self.total_credits, record.amount)
            case Credential():
                self.credentials[record.id] = record
            case CredentialDeleted():
                self.credentials.pop(record.id, None)

    def _count(self, generation: Generation) -> None:
        self._keep(generation)
        key = self.keys.get(generation.key)
        list_price = generation.upstream_cost if generation.byok else ZERO
        self.spend[generation.key].add(generation.cost, list_price, generation.at)
        if key is None or not key.foreign:
            self.total_usage = EXACT.add(self.total_usage, generation.cost)
        if list_price:
            self._count_byok(list_price, generation.at)
        place = (generation.key, day_of(generation.at), generation.model, generation.endpoint)
        total = self.days.get(place)
        if total is None:
            total = DayTotal(generation.model, generation.endpoint, generation.provider)
            self.days[place] = total
        total.add(generation)

    def _keep(self, generation: Generation) -> None:
        self.generations[generation.id] = generation
        if len(self.generations) > self._settings.keep_generations:
            del self.generations[next(iter(self.generations))]

    def _count_byok(self, list_price: Decimal, at: float) -> None:
        month = windows_of(day_of(at))[2]
        before = self.byok_month[1] if self.byok_month[0] == month else ZERO
        self.byok_month = (month, EXACT.add(before, list_price))

    def byok_this_month(self, at: float) -> Decimal:
        """List price of this month's BYOK traffic so far."""
        month, total = self.byok_month
        return total if month == windows_of(day_of(at))[2] else ZERO

    def key_for(self, authorization: bytes) -> Key | None:
        """The key of an ``Authorization`` header's value, or None."""
        key = self._by_bearer.get(authorization)
        if key is None:
            scheme, _, secret = authorization.decode("latin-1").partition(" ")
            key = self.keys.get(hash_of(secret.strip())) if scheme.lower() == "bearer" else None
            if key is not None:
                self._by_bearer[authorization] = key
        return key

    def reset(self) -> None:
        """Back to a fresh account with the seeded keys."""
        if self._journal is not None:
            self._journal.clear()
        self._forget()
        self._seed()

    def close(self) -> None:
        """Write what is waiting."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

"""What the demo data is made of: people, what a company uses models for, companies."""

from dataclasses import dataclass, field
from decimal import Decimal

from metering.models import Kind


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can sign in."""

    email: str
    name: str
    role: str = "member"


@dataclass(frozen=True, slots=True)
class Workload:
    """One use that a company makes of models; token counts and quantities are medians."""

    kind: Kind
    key: str  # name of the API key
    weight: int  # share of the company's events
    model: str = ""
    name: str = ""
    provider: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cached: float = 0.0  # share of the input read from the provider's cache
    reasoning: float = 0.0  # share of the output
    quantity: int = 0
    unit_cost: Decimal = Decimal(0)  # USD per token, or per unit of quantity, where the price book has none
    seconds: float = 1.5
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    is_byok: bool = False

    @property
    def source(self) -> str:
        """Models are called through the gateway; searches and agent runs are reported by services."""
        return "gateway" if self.model else "api"


@dataclass(frozen=True, slots=True)
class Company:
    """An organization, its people, money and habits."""

    name: str
    zone: str
    people: tuple[Person, ...]  # the first owns it
    tiers: tuple[tuple[int, str], ...]  # (days ago, slug), oldest first
    daily: float  # events on a full working day at the end of the three months
    weekend: float  # of a working day
    growth: float  # volume three months ago, as a share of today's
    workloads: tuple[Workload, ...] = ()
    top_up: tuple[Decimal, Decimal] | None = None  # (below, amount) USD
    low_balance: Decimal | None = None
    keys: tuple[str, ...] = ()
    night: float = 0.08  # share of the noon volume at night
    failing: float = 0.02
    plans: tuple[tuple[int, str], ...] = ()  # (days ago, what is done with the subscription)
    teams: tuple[tuple[str, str, str, str], ...] = ()  # (name, its department or "", a member's e-mail, a key's name)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the demo needs to be shown around: who to sign in as, and keys to call with."""

    operator: dict[str, str]
    users: list[dict[str, str]] = field(default_factory=list)
    api_key: str = ""
    test_api_key: str = ""

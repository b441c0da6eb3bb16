"""Who appears in the demo data and what they use. All names are invented."""

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


def _tags(**values: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(values.items())


OPERATOR = Person("operator@farebox.example", "Farebox operator")

_RESEARCH = _tags(feature=("literature-review", "extraction", "summaries"), environment=("production", "staging"))
_SUPPORT = _tags(feature=("chat-widget", "ticket-triage"), prompt_id=("greeting-v4", "refund-v2", "triage-v7"))
_FREIGHT = _tags(feature=("route-planner", "customs-papers"), environment=("production",))

COMPANIES = (
    Company(
        name="Northwind Research",
        zone="Europe/Lisbon",
        people=(
            Person("ada@northwind.example", "Ada Moreira"),
            Person("tomas@northwind.example", "Tomás Leal", "admin"),
            Person("ines@northwind.example", "Inês Prado", "member"),
            Person("finance@northwind.example", "Northwind Finance", "billing"),
        ),
        tiers=((96, "starter"), (41, "professional")),
        daily=62,
        weekend=0.2,
        growth=0.45,
        keys=("Production", "Notebooks", "Indexer"),
        workloads=(
            Workload(
                Kind.CHAT,
                "Production",
                34,
                "anthropic/claude-sonnet-4.5",
                provider="Anthropic",
                tokens_in=14200,
                tokens_out=1350,
                cached=0.45,
                seconds=6.4,
                tags=_RESEARCH,
            ),
            Workload(
                Kind.CHAT,
                "Production",
                26,
                "openai/gpt-5-mini",
                provider="OpenAI",
                tokens_in=8800,
                tokens_out=2900,
                cached=0.2,
                reasoning=0.55,
                seconds=7.8,
                tags=_RESEARCH,
            ),
            Workload(
                Kind.CHAT,
                "Notebooks",
                14,
                "openai/gpt-4o",
                provider="OpenAI",
                tokens_in=4100,
                tokens_out=760,
                seconds=3.1,
                tags=_tags(environment=("notebook",)),
            ),
            Workload(
                Kind.EMBEDDING,
                "Indexer",
                18,
                "openai/text-embedding-3-small",
                provider="OpenAI",
                tokens_in=7600,
                unit_cost=Decimal("0.00000002"),
                seconds=0.5,
                tags=_tags(feature=("index",)),
            ),
            Workload(
                Kind.SEARCH,
                "Production",
                5,
                name="center-deep.search",
                quantity=3,
                unit_cost=Decimal("0.004"),
                seconds=1.2,
                tags=_RESEARCH,
            ),
            Workload(
                Kind.AGENT,
                "Production",
                3,
                name="brigade.run",
                quantity=9,
                unit_cost=Decimal("0.011"),
                seconds=48,
                tags=_RESEARCH,
            ),
        ),
        top_up=(Decimal(9), Decimal(25)),
        low_balance=Decimal(10),
    ),
    Company(
        name="Lumen Support",
        zone="America/Chicago",
        people=(Person("lin@lumen.example", "Lin Abara"), Person("sam@lumen.example", "Sam Oduya", "member")),
        tiers=((93, "starter"),),
        daily=58,
        weekend=0.55,
        growth=0.7,
        keys=("Chat widget", "Ticket triage"),
        workloads=(
            Workload(
                Kind.CHAT,
                "Chat widget",
                38,
                "openai/gpt-4o-mini",
                provider="OpenAI",
                tokens_in=3400,
                tokens_out=310,
                cached=0.35,
                seconds=1.7,
                tags=_SUPPORT,
            ),
            Workload(
                Kind.CHAT,
                "Chat widget",
                34,
                "anthropic/claude-haiku-4.5",
                provider="Anthropic",
                tokens_in=8300,
                tokens_out=560,
                cached=0.4,
                seconds=2.4,
                tags=_SUPPORT,
            ),
            Workload(
                Kind.CHAT,
                "Ticket triage",
                12,
                "anthropic/claude-sonnet-4.5",
                provider="Anthropic",
                tokens_in=9600,
                tokens_out=820,
                cached=0.5,
                seconds=5.6,
                tags=_SUPPORT,
            ),
            Workload(
                Kind.CHAT,
                "Ticket triage",
                10,
                "google/gemini-2.5-flash",
                provider="Google",
                tokens_in=6100,
                tokens_out=240,
                seconds=1.5,
                tags=_SUPPORT,
            ),
            Workload(
                Kind.EMBEDDING,
                "Ticket triage",
                6,
                "openai/text-embedding-3-small",
                provider="OpenAI",
                tokens_in=900,
                unit_cost=Decimal("0.00000002"),
                seconds=0.3,
            ),
        ),
        top_up=(Decimal(2), Decimal(10)),
        low_balance=Decimal(3),
        plans=((0, "cancel"),),
        night=0.25,
        failing=0.035,
    ),
    Company(
        name="Kestrel Audio",
        zone="Europe/Berlin",
        people=(Person("mara@kestrel.example", "Mara Vogt"), Person("jonas@kestrel.example", "Jonas Feld", "admin")),
        tiers=((95, "enterprise"),),
        daily=38,
        weekend=0.75,
        growth=0.55,
        keys=("Narration", "Scripts"),
        workloads=(
            Workload(
                Kind.TTS,
                "Narration",
                46,
                "openai/gpt-4o-mini-tts",
                provider="OpenAI",
                quantity=7400,
                unit_cost=Decimal("0.000015"),
                seconds=5.2,
                tags=_tags(feature=("audiobook", "preview")),
            ),
            Workload(
                Kind.CHAT,
                "Scripts",
                30,
                "openai/gpt-4o",
                provider="OpenAI",
                tokens_in=2200,
                tokens_out=1300,
                seconds=6.0,
                tags=_tags(feature=("script",)),
                is_byok=True,
            ),
            Workload(
                Kind.CHAT,
                "Scripts",
                24,
                "mistralai/mistral-small-3.2-24b-instruct",
                provider="Mistral",
                tokens_in=1300,
                tokens_out=420,
                seconds=1.6,
                tags=_tags(feature=("proofreading",)),
            ),
        ),
        top_up=(Decimal(20), Decimal(50)),
        plans=((50, "own key"),),
        teams=(
            ("Production", "", "mara@kestrel.example", ""),
            ("Studio", "Production", "", "Narration"),
            ("Writers", "Production", "jonas@kestrel.example", "Scripts"),
        ),
    ),
    Company(
        name="Atlas Freight",
        zone="Asia/Singapore",
        people=(Person("wei@atlas.example", "Wei Tan"), Person("ops@atlas.example", "Atlas Operations", "viewer")),
        tiers=((91, "starter"),),
        daily=29,
        weekend=0.35,
        growth=0.8,
        keys=("Planner",),
        workloads=(
            Workload(
                Kind.AGENT,
                "Planner",
                22,
                name="brigade.run",
                quantity=7,
                unit_cost=Decimal("0.0145"),
                seconds=37,
                tags=_FREIGHT,
            ),
            Workload(
                Kind.SEARCH,
                "Planner",
                28,
                name="center-deep.search",
                quantity=2,
                unit_cost=Decimal("0.004"),
                seconds=0.9,
                tags=_FREIGHT,
            ),
            Workload(
                Kind.CHAT,
                "Planner",
                50,
                "deepseek/deepseek-chat-v3.1",
                provider="DeepInfra",
                tokens_in=9400,
                tokens_out=1700,
                cached=0.3,
                seconds=6.4,
                tags=_FREIGHT,
            ),
        ),
        top_up=(Decimal(4), Decimal(20)),
    ),
    Company(
        name="Harbor Studio",
        zone="America/New_York",
        people=(Person("noor@harbor.example", "Noor Haddad"),),
        tiers=((88, "free"),),
        daily=24,
        weekend=0.9,
        growth=0.6,
        keys=("Side project",),
        workloads=(
            Workload(
                Kind.CHAT,
                "Side project",
                70,
                "meta-llama/llama-3.3-70b-instruct:free",
                provider="Venice",
                tokens_in=900,
                tokens_out=380,
                seconds=3.6,
            ),
            Workload(
                Kind.CHAT,
                "Side project",
                30,
                "qwen/qwen3-coder:free",
                provider="Chutes",
                tokens_in=1700,
                tokens_out=520,
                seconds=5.1,
            ),
        ),
        night=0.3,
        failing=0.06,
    ),
    Company(
        name="Quiet Pine",
        zone="UTC",
        people=(Person("new@quietpine.example", "Robin Quiet"),),
        tiers=((1, "free"),),
        daily=0,
        weekend=0,
        growth=1,
        plans=((0, "try"),),
    ),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the demo needs to be shown around: who to sign in as, and keys to call with."""

    operator: dict[str, str]
    users: list[dict[str, str]] = field(default_factory=list)
    api_key: str = ""
    test_api_key: str = ""

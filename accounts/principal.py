"""Who is asking: the answer of every authentication, small enough to cache and to carry along."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from uuid import UUID

from accounts.scopes import ANY


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a change, for the audit trail."""

    label: str  # an e-mail address, "api key fbx_live_ab12…", "gateway", "beat"
    user_id: int | None = None
    # What they may hand out: nobody gives a key more than they have themselves. None: operators and our own jobs.
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """An API key or a logged-in member, acting for exactly one organization (a live one or its test twin)."""

    organization_id: UUID
    mode: str  # "live" or "test"
    scopes: frozenset[str]  # with the implied ones
    actor: str  # for the audit trail; names a key by its prefix, never by its secret
    api_key_id: UUID | None = None
    key_line_id: UUID | None = None  # what the key shares with those it succeeds and is rotated to
    member_id: UUID | None = None  # the membership, also when a key is bound to one
    user_id: int | None = None  # the logged-in person; None for keys
    team_id: UUID | None = None  # of the key, else of its member: what its calls count for
    department_id: UUID | None = None  # that the team stands in
    allowed_models: frozenset[str] = frozenset()  # empty: whatever the tier allows
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()  # empty: from anywhere
    requests_per_minute: int | None = None  # the key's own, below the tier's
    tokens_per_minute: int | None = None
    spend_limit: Decimal | None = None  # USD over the life of the key and its successors
    spend_limit_id: UUID | None = None  # the counter that a call must reserve against; None without a limit
    expires_at: datetime | None = None

    @property
    def is_test(self) -> bool:
        """Whether it acts on sandbox books."""
        return self.mode == "test"

    @property
    def as_actor(self) -> Actor:
        """The same for the audit trail."""
        return Actor(self.actor, self.user_id, self.scopes)

    def has_scope(self, scope: str) -> bool:
        """Whether it may do what ``scope`` names."""
        return scope == ANY or scope in self.scopes

    def may_use_model(self, model: str) -> bool:
        """Whether the key's own allow-list admits ``model``; the tier is asked separately.

        ``author/*`` admits all models of an author.
        """
        if not self.allowed_models or model in self.allowed_models:
            return True
        return f"{model.partition('/')[0]}/*" in self.allowed_models

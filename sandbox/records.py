"""What the books are made of: each record is one line of the journal."""

from decimal import Decimal

import msgspec


class Record(msgspec.Struct, tag_field="type", omit_defaults=True, kw_only=True, gc=False):
    """A fact that happened; replaying all of them in order rebuilds the books."""


class Key(Record, tag="key"):
    """The settings of an API key as of now; a later record with the same hash replaces them."""

    hash: str  # SHA-256 hex of the key string, which is never stored
    label: str
    name: str
    created_at: float
    workspace_id: str
    disabled: bool = False
    limit: Decimal | None = None
    limit_reset: str | None = None
    include_byok_in_limit: bool = False
    updated_at: float | None = None
    expires_at: float | None = None
    creator_user_id: str | None = None
    external_user: str | None = None
    management: bool = False
    byok: bool = False  # its calls run on provider credentials of its own
    foreign: bool = False  # belongs to another account: not in our credits and activity


class KeyDeleted(Record, tag="key_deleted"):
    """The key is gone; what it spent stays in the totals."""

    hash: str


class Generation(Record, tag="generation"):
    """One inference call as it was billed. Costs are exact USD."""

    id: str
    at: float  # when it ended and was billed
    created: float
    key: str  # hash
    api: str  # completions, embeddings or tts
    model: str  # canonical slug of the model that served
    requested: str
    provider: str
    endpoint: str
    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    cached: int = 0
    written: int = 0
    images: int = 0
    images_out: int = 0
    searches: int = 0
    cost: Decimal = Decimal(0)  # what the account is charged
    upstream_cost: Decimal = Decimal(0)  # list price; with BYOK what the caller's provider bills
    byok: bool = False
    streamed: bool = False
    cancelled: bool = False
    finish: str | None = None
    tier: str | None = None
    latency: int = 0  # milliseconds to the first token
    generation_time: int = 0  # milliseconds to the last
    visible_at: float = 0.0  # GET /generation answers 404 before
    user: str | None = None
    session: str | None = None
    referer: str | None = None
    agent: str | None = None
    cache_source: str | None = None  # the generation whose answer was served again


class CreditsBought(Record, tag="credits"):
    """Credits added to the account."""

    amount: Decimal
    at: float


class Credential(Record, tag="credential"):
    """A provider credential registered for BYOK; the secret itself is never kept."""

    id: str
    provider: str
    label: str
    created_at: float
    workspace_id: str
    name: str | None = None
    allowed_api_key_hashes: list[str] | None = None
    allowed_models: list[str] | None = None
    disabled: bool = False
    is_fallback: bool = False
    is_required: bool = False
    is_byok_only: bool = False
    sort_order: int = 0
    broken: bool = False  # the credential was registered as one that its provider refuses


class CredentialDeleted(Record, tag="credential_deleted"):
    """The credential is gone."""

    id: str


AnyRecord = Key | KeyDeleted | Generation | CreditsBought | Credential | CredentialDeleted

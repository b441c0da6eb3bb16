"""``/keys``, ``/key`` and ``/auth/key``: sub-keys and what they have spent."""

import secrets
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from sandbox.admission import Admission
from sandbox.books import WORKSPACE, Books
from sandbox.clock import Clock, iso, optional_iso, window_end
from sandbox.money import EXACT, ZERO, number, optional_number
from sandbox.records import Key, KeyDeleted
from sandbox.spend import RESETS
from sandbox.wire import Answer, Refusal, Request

_PAGE = 100
_RANDOM_BYTES = 32
_EDITABLE = ("name", "disabled", "limit", "limit_reset", "include_byok_in_limit", "workspace_id")


class Keys:
    """The management of API keys."""

    def __init__(self, books: Books, admission: Admission, clock: Clock) -> None:
        self._books = books
        self._admission = admission
        self._clock = clock

    def create(self, request: Request) -> Answer:
        """``POST /keys``: the key string is in this answer and never again."""
        manager = self._admission.management_key(request)
        body = request.json()
        if "name" not in body:
            raise _invalid("name: Required")
        fields = _checked(body)
        fields["expires_at"] = _expiry(body.get("expires_at"))
        fields["creator_user_id"] = _text_or_none(body, "creator_user_id")
        fields["external_user"] = _external_user(body.get("external"))
        fields["workspace_id"] = fields.get("workspace_id") or manager.workspace_id or WORKSPACE
        secret = f"sk-or-v1-{secrets.token_hex(_RANDOM_BYTES)}"
        key = self._books.new_key(secret, fields.pop("name"))
        key = msgspec.structs.replace(key, **fields)
        self._books.write(key)
        return Answer({"data": self._document(key), "key": secret}, 201)

    def list(self, request: Request) -> Answer:
        """``GET /keys``: pages of 100, newest first."""
        self._admission.management_key(request)
        query = request.query()
        offset = _offset(query.get("offset", "0"))
        keys = [key for key in reversed(self._books.keys.values()) if self._is_listed(key, query)]
        keys.sort(key=lambda key: key.created_at, reverse=True)
        return Answer({"data": [self._document(key) for key in keys[offset : offset + _PAGE]]})

    def _is_listed(self, key: Key, query: dict[str, str]) -> bool:
        if key.management or key.foreign:
            return False
        if key.disabled and query.get("include_disabled") != "true":
            return False
        if self._is_expired(key) and query.get("include_expired") != "true":
            return False
        return query.get("workspace_id") in (None, key.workspace_id)

    def _is_expired(self, key: Key) -> bool:
        return key.expires_at is not None and key.expires_at <= self._clock.now()

    def read(self, request: Request, hash: str) -> Answer:
        """``GET /keys/{hash}``."""
        self._admission.management_key(request)
        return Answer({"data": self._document(self._find(hash))})

    def update(self, request: Request, hash: str) -> Answer:
        """``PATCH /keys/{hash}``: ``limit: null`` removes the limit, leaving it out keeps it."""
        self._admission.management_key(request)
        key = self._find(hash)
        body = request.json()
        if not any(name in body for name in _EDITABLE):
            raise _invalid("At least one field to update is required")
        fields = _checked(body)
        key = msgspec.structs.replace(key, **fields, updated_at=self._clock.now())
        self._books.write(key)
        return Answer({"data": self._document(key)})

    def delete(self, request: Request, hash: str) -> Answer:
        """``DELETE /keys/{hash}``."""
        self._admission.management_key(request)
        self._books.write(KeyDeleted(hash=self._find(hash).hash))
        return Answer({"deleted": True})

    def _find(self, hash: str) -> Key:
        key = self._books.keys.get(hash)
        if key is None or key.foreign:
            raise Refusal(404, "API key not found", "not_found")
        return key

    def own(self, request: Request) -> Answer:
        """``GET /key``: any key about itself."""
        key = self._admission.key(request)
        free = self._admission.free_calls_today()
        free_limit = self._admission.free_per_day or 1_000
        budgets = [self._budget(key)] if key.limit is not None else []
        document = {
            **self._money(key),
            "label": key.label,
            "is_management_key": key.management,
            "is_provisioning_key": key.management,
            "is_free_tier": False,
            "creator_user_id": key.creator_user_id,
            "organization_id": None,
            "workspace_id": key.workspace_id,
            "expires_at": optional_iso(key.expires_at),
            "allowed_data_regions": ["global"],
            "free_model_daily_requests": {
                "used": free,
                "limit": free_limit,
                "remaining": max(0, free_limit - free),
            },
            "budgets": budgets,
            "effective_budget": budgets[0] if budgets else None,
            "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated."},
        }
        return Answer({"data": document})

    def _budget(self, key: Key) -> dict[str, Any]:
        limit = key.limit or ZERO
        spent = self._admission.spent_against_limit(key)
        resets_at = iso(window_end(key.limit_reset, self._clock.now())) if key.limit_reset else None
        return {
            "scope": "key_limit",
            "budget_id": None,
            "guardrail_id": None,
            "include_byok": key.include_byok_in_limit,
            "limit_usd": number(limit),
            "spend_usd": number(spent),
            "remaining_usd": number(max(ZERO, EXACT.subtract(limit, spent))),
            "reset_interval": key.limit_reset,
            "resets_at": resets_at,
        }

    def _money(self, key: Key) -> dict[str, Any]:
        now = self._clock.now()
        spend = self._books.spend[key.hash]
        remaining = None
        if key.limit is not None:
            remaining = max(ZERO, EXACT.subtract(key.limit, self._admission.spent_against_limit(key)))
        document: dict[str, Any] = {
            "limit": optional_number(key.limit),
            "limit_remaining": optional_number(remaining),
            "limit_reset": key.limit_reset,
            "include_byok_in_limit": key.include_byok_in_limit,
            "usage": number(spend.lifetime.usage),
            "byok_usage": number(spend.lifetime.byok),
        }
        for reset in RESETS:
            total = spend.over(reset, now)
            document[f"usage_{reset}"] = number(total.usage)
            document[f"byok_usage_{reset}"] = number(total.byok)
        return document

    def _document(self, key: Key) -> dict[str, Any]:
        return {
            "hash": key.hash,
            "name": key.name,
            "label": key.label,
            "disabled": key.disabled,
            **self._money(key),
            "created_at": iso(key.created_at),
            "updated_at": optional_iso(key.updated_at),
            "last_used_at": optional_iso(self._books.spend[key.hash].last_used_at),
            "expires_at": optional_iso(key.expires_at),
            "creator_user_id": key.creator_user_id,
            "external_user": key.external_user,
            "workspace_id": key.workspace_id,
        }


def _invalid(message: str) -> Refusal:
    return Refusal(400, message, "invalid_request")


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    """The settings in a body that may be changed later, as the record wants them. Raises Refusal (400)."""
    checks: dict[str, Callable[[Any], Any]] = {
        "name": _name,
        "disabled": _flag,
        "limit": _limit,
        "limit_reset": _reset,
        "include_byok_in_limit": _flag,
        "workspace_id": _workspace,
    }
    fields: dict[str, Any] = {}
    for name, check in checks.items():
        if name in body:
            try:
                fields[name] = check(body[name])
            except ValueError as error:
                raise _invalid(f"{name}: {error}") from None
    return fields


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("Expected a non-empty string")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("Expected boolean")
    return value


def _limit(value: Any) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("Expected number")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise ValueError("Expected number") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError("Expected a number of at least 0")
    return amount


def _reset(value: Any) -> str | None:
    if value is not None and value not in RESETS:
        raise ValueError("Expected daily, weekly, monthly or null")
    return value


def _workspace(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("Expected a workspace id")
    return value


def _text_or_none(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"{name}: Expected string")
    return value


def _external_user(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("user"), str):
        raise _invalid("external: Expected {user, api_key?}")
    return value["user"]


def _expiry(value: Any) -> float | None:
    """An ISO 8601 time in UTC with seconds."""
    if value is None:
        return None
    if not isinstance(value, str) or len(value) < len("2026-01-01T00:00:00Z") or not value.endswith("Z"):
        raise _invalid("expires_at: Expected ISO 8601 in UTC with seconds")
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        raise _invalid("expires_at: Expected ISO 8601 in UTC with seconds") from None


def _offset(value: str) -> int:
    if not value.isdecimal():
        raise _invalid("offset: Expected a number of at least 0")
    return int(value)

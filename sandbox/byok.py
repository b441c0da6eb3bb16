"""``/byok``: provider credentials of a customer. Their secret is accepted and thrown away."""

import uuid
from typing import Any

import msgspec

from sandbox.admission import Admission
from sandbox.books import WORKSPACE, Books
from sandbox.clock import Clock, iso
from sandbox.records import Credential, CredentialDeleted
from sandbox.wire import Answer, Refusal, Request

_PAGE = 100
_EDITABLE = {
    "name": str | None,
    "allowed_api_key_hashes": list[str] | None,
    "allowed_models": list[str] | None,
    "disabled": bool,
    "is_fallback": bool,
    "is_required": bool,
    "is_byok_only": bool,
    "sort_order": int,
}
BROKEN_SECRET = "broken"  # noqa: S105 - a credential with this secret is refused by its provider


class Credentials:
    """The management of provider credentials."""

    def __init__(self, books: Books, admission: Admission, clock: Clock) -> None:
        self._books = books
        self._admission = admission
        self._clock = clock

    def create(self, request: Request) -> Answer:
        """``POST /byok``."""
        self._admission.management_key(request)
        body = request.json()
        provider, secret = body.get("provider"), body.get("key")
        if not isinstance(provider, str) or not isinstance(secret, str) or not provider or not secret:
            raise Refusal(400, "provider and key are required", "invalid_request")
        credential = Credential(
            id=str(uuid.uuid4()),
            provider=provider,
            label=f"{secret[:3]}...{secret[-4:]}",
            created_at=self._clock.now(),
            workspace_id=WORKSPACE,
            broken=secret == BROKEN_SECRET,
            **_checked(body),
        )
        self._books.write(credential)
        return Answer({"data": _document(credential)}, 201)

    def list(self, request: Request) -> Answer:
        """``GET /byok``."""
        self._admission.management_key(request)
        rows = [_document(credential) for credential in self._books.credentials.values()]
        return Answer({"data": rows[:_PAGE], "total_count": len(rows)})

    def read(self, request: Request, id: str) -> Answer:
        """``GET /byok/{id}``."""
        self._admission.management_key(request)
        return Answer({"data": _document(self._find(id))})

    def update(self, request: Request, id: str) -> Answer:
        """``PATCH /byok/{id}``."""
        self._admission.management_key(request)
        body = request.json()
        credential = msgspec.structs.replace(self._find(id), **_checked(body))
        if isinstance(body.get("key"), str):
            credential = msgspec.structs.replace(credential, broken=body["key"] == BROKEN_SECRET)
        self._books.write(credential)
        return Answer({"data": _document(credential)})

    def delete(self, request: Request, id: str) -> Answer:
        """``DELETE /byok/{id}``."""
        self._admission.management_key(request)
        self._books.write(CredentialDeleted(id=self._find(id).id))
        return Answer({"deleted": True})

    def _find(self, id: str) -> Credential:
        credential = self._books.credentials.get(id)
        if credential is None:
            raise Refusal(404, "BYOK credential not found", "not_found")
        return credential


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    fields = {}
    for name, kind in _EDITABLE.items():
        if name in body:
            try:
                fields[name] = msgspec.convert(body[name], kind)
            except msgspec.ValidationError as error:
                raise Refusal(400, f"{name}: {error}", "invalid_request") from None
    return fields


def _document(credential: Credential) -> dict[str, Any]:
    return {
        "id": credential.id,
        "provider": credential.provider,
        "label": credential.label,
        "name": credential.name,
        "disabled": credential.disabled,
        "is_fallback": credential.is_fallback,
        "is_required": credential.is_required,
        "is_byok_only": credential.is_byok_only,
        "allowed_api_key_hashes": credential.allowed_api_key_hashes,
        "allowed_models": credential.allowed_models,
        "allowed_user_ids": None,
        "declared_region": None,
        "declared_zdr": None,
        "sort_order": credential.sort_order,
        "workspace_id": credential.workspace_id,
        "created_at": iso(credential.created_at),
    }

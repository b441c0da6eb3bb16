"""What is kept of an answer under an Idempotency-Key when a secret is in it: all but the secret, which stands in the
row of its object alone and is put back when the answer is given again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import msgspec

from accounts.idempotency import Answer
from billing_api.errors import ResourceNotFound

SecretOf = Callable[[UUID], str | None]  # the secret of an object of the merchant's, by its id
NAME = "client_secret"
# No secret has such signs, and JSON leaves them as they are.
_MARK = b"<client_secret>"


def without_secret(answer: Answer) -> Answer:
    """The answer as it is stored."""
    secret = _read(answer).get(NAME)
    return replace(answer, body=answer.body.replace(secret.encode(), _MARK)) if secret else answer


def with_secret(answer: Answer, secret_of: SecretOf) -> Answer:
    """The stored answer as it was given. Raises ResourceNotFound when its object is gone."""
    if _MARK not in answer.body:
        return answer
    secret = secret_of(UUID(_read(answer)["id"]))
    if secret is None:
        raise ResourceNotFound()
    return replace(answer, body=answer.body.replace(_MARK, secret.encode()))


def _read(answer: Answer) -> dict[str, Any]:
    return msgspec.json.decode(answer.body, type=dict[str, Any])

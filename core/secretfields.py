"""Secrets at rest: Fernet under a ring of keys, so that the encryption key can be rotated.

Stored form: ``f1.<8 hex digits of the key id>.<token>`` over plain UTF-8, never a pickle. The first key of
``FIELD_ENCRYPTION_KEYS`` writes; reading picks the key by its id. Each entry is stretched into an encryption key, a
signing key and an id by HMAC-SHA256, so ``SECRET_KEY`` plays no part and may change at any time.
"""

import base64
import hashlib
import hmac
import re
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import FieldError
from django.db import models
from django_cryptography.core.signing import FernetSigner
from django_cryptography.utils.crypto import FernetBytes

_FORMAT = "f1"
_STORED = re.compile(rf"{_FORMAT}\.[0-9a-f]{{8}}\.[A-Za-z0-9_\-=]+")
_SHOWN = 4


class UndecryptableSecret(Exception):
    """The key that wrote this secret is not in ``FIELD_ENCRYPTION_KEYS``, or the stored text was altered."""


class SecretText(str):
    """A secret in clear; its ``repr`` shows the last four characters only, for the sake of tracebacks and dumps."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret …{self[-_SHOWN:]}>" if len(self) > 2 * _SHOWN else "<secret>"


def _derive(master: str, purpose: str) -> bytes:
    return hmac.new(master.encode(), f"farebox.field.{purpose}".encode(), hashlib.sha256).digest()


@lru_cache(maxsize=32)
def key_id(master: str) -> str:
    """Eight hex digits that name a ring entry without revealing it."""
    return _derive(master, "id").hex()[:8]


@lru_cache(maxsize=32)
def _fernet(master: str) -> FernetBytes:
    return FernetBytes(_derive(master, "encrypt"), FernetSigner(_derive(master, "sign")))


def current_key_id() -> str:
    """The id of the key that writes."""
    return key_id(settings.FIELD_ENCRYPTION_KEYS[0])


def key_id_of(stored: str) -> str:
    """The id of the key that wrote ``stored``; empty when the text is not in the stored form."""
    return stored.split(".", 2)[1] if _STORED.fullmatch(stored) else ""


def encrypt_secret(text: str) -> str:
    """``text`` under the current key of the ring."""
    master = settings.FIELD_ENCRYPTION_KEYS[0]
    token = base64.urlsafe_b64encode(_fernet(master).encrypt(text.encode())).decode()
    return f"{_FORMAT}.{key_id(master)}.{token}"


def decrypt_secret(stored: str) -> SecretText:
    """The secret in clear. Raises UndecryptableSecret."""
    name = key_id_of(stored)
    if not name:
        raise UndecryptableSecret("This is not a stored secret: its format mark or key id is missing.")
    master = next((key for key in settings.FIELD_ENCRYPTION_KEYS if key_id(key) == name), None)
    if master is None:
        raise UndecryptableSecret(
            f"The secret was written with key {name}, which is not in FIELD_ENCRYPTION_KEYS. "
            "Add that key to the end of the list, then run manage.py rotate_encryption_key."
        )
    text = _opened(_fernet(master), stored.split(".", 2)[2])
    if text is None:
        raise UndecryptableSecret("The stored secret has been altered: its signature does not match.")
    return text


def _opened(fernet: FernetBytes, token: str) -> SecretText | None:
    """The text in ``token``, None when it was altered. The error itself is dropped: it may quote the token."""
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        # The last character has bits that decoding ignores; a changed one is refused like any other.
        if base64.urlsafe_b64encode(raw).decode() != token:
            return None
        return SecretText(fernet.decrypt(raw).decode())
    except Exception:
        return None


class SecretTextField(models.TextField):
    """Text that is encrypted in the database and in clear on the instance. Never searched, never shown.

    Fixtures (``dumpdata``) carry the encrypted form; ``loaddata`` reads it back with the same ring.
    """

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt on the way in."""
        return encrypt_secret(value) if value else value

    def from_db_value(self, value: Any, _expression: object, _connection: object) -> Any:
        """Decrypt on the way out."""
        return decrypt_secret(value) if value else value

    def to_python(self, value: Any) -> Any:
        """Read the encrypted form that fixtures carry; anything else is the secret itself."""
        if isinstance(value, str) and _STORED.fullmatch(value):
            return decrypt_secret(value)
        return value

    def value_to_string(self, obj: models.Model) -> str:
        """The encrypted form, for fixtures."""
        return self.get_prep_value(self.value_from_object(obj)) or ""

    def get_lookup(self, lookup_name: str) -> Any:
        """Refuse every search but for null: each encryption of a text differs, so nothing would ever be found."""
        if lookup_name == "isnull":
            return super().get_lookup(lookup_name)
        raise FieldError(f"{self.name} is encrypted and cannot be searched.")

    def formfield(self, **kwargs: Any) -> None:
        """None: no form, not even the admin's, shows or edits a secret."""

"""Secrets at rest: Fernet under a ring of keys, so that the encryption key can be rotated.

Stored form: ``f1.<8 hex digits of the key id>.<token>`` over plain UTF-8. The first key of ``FIELD_ENCRYPTION_KEYS``
writes; reading picks the key by its id. Each entry is stretched into an encryption and a signing key by HMAC-SHA256.
"""

import base64
import hashlib
import hmac
from typing import Any

from django.conf import settings
from django.db import models
from django_cryptography.core.signing import FernetSigner
from django_cryptography.utils.crypto import FernetBytes

_FORMAT = "f1"


class UndecryptableSecret(Exception):
    """The key that wrote this secret is not in ``FIELD_ENCRYPTION_KEYS``, or the stored text was altered."""


def _derive(master: str, purpose: str) -> bytes:
    return hmac.new(master.encode(), f"farebox.field.{purpose}".encode(), hashlib.sha256).digest()


def key_id(master: str) -> str:
    """Eight hex digits that name a ring entry without revealing it."""
    return _derive(master, "id").hex()[:8]


def _fernet(master: str) -> FernetBytes:
    return FernetBytes(_derive(master, "encrypt"), FernetSigner(_derive(master, "sign")))


def encrypt_secret(text: str) -> str:
    """``text`` under the current key of the ring."""
    master = settings.FIELD_ENCRYPTION_KEYS[0]
    token = base64.urlsafe_b64encode(_fernet(master).encrypt(text.encode())).decode()
    return f"{_FORMAT}.{key_id(master)}.{token}"


def decrypt_secret(stored: str) -> str:
    """The secret in clear. Raises UndecryptableSecret."""
    try:
        mark, name, token = stored.split(".", 2)
        master = next(key for key in settings.FIELD_ENCRYPTION_KEYS if key_id(key) == name)
        if mark != _FORMAT:
            raise UndecryptableSecret("unknown format")
        return _fernet(master).decrypt(base64.urlsafe_b64decode(token)).decode()
    except UndecryptableSecret:
        raise
    except StopIteration:
        raise UndecryptableSecret("written with a key that is not in FIELD_ENCRYPTION_KEYS") from None
    except Exception as error:
        raise UndecryptableSecret(type(error).__name__) from None


class SecretTextField(models.TextField):
    """Text that is encrypted in the database and in clear on the instance. Never searched, never shown."""

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt on the way in."""
        return encrypt_secret(value) if value else value

    def from_db_value(self, value: Any, _expression: object, _connection: object) -> Any:
        """Decrypt on the way out."""
        return decrypt_secret(value) if value else value

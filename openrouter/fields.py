"""The encrypted column under the name that migrations know it by; it lives in core, where every app can use it."""

from core.secretfields import (
    SecretText,
    SecretTextField,
    UndecryptableSecret,
    current_key_id,
    decrypt_secret,
    encrypt_secret,
    key_id,
    key_id_of,
)

__all__ = [
    "SecretText",
    "SecretTextField",
    "UndecryptableSecret",
    "current_key_id",
    "decrypt_secret",
    "encrypt_secret",
    "key_id",
    "key_id_of",
]

"""Moving stored secrets to the current key of the ring.

Rows are taken in batches; each is written only if it still is what was read, so a key that is being rotated or
replaced at the same moment is never overwritten. What is done stays done: an interrupted run is simply run again.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, QuerySet, TextField, Value
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from accounts.second_factor import SECRET_MEMBERS
from openrouter.fields import (
    SecretTextField,
    UndecryptableSecret,
    current_key_id,
    decrypt_secret,
    encrypt_secret,
    key_id_of,
)

BATCH = 500


@dataclass(frozen=True, slots=True)
class Column:
    """A column of secrets, found by its field's class: a new one is rotated without being listed anywhere.

    With ``member`` it is a JSON object that has the secret in that member.
    """

    model: type[models.Model]
    field: models.Field
    member: str = ""

    @property
    def name(self) -> str:
        """For people: ``openrouter.provideraccount.secret``."""
        return ".".join(filter(None, (self.model._meta.label_lower, self.field.name, self.member)))

    def rows(self) -> QuerySet:
        """The rows that hold a secret, its text as it is in the database as ``stored``."""
        place = KeyTextTransform(self.member, self.field.name) if self.member else Cast(self.field.name, TextField())
        return self.model._base_manager.annotate(stored=place).exclude(stored="").exclude(stored__isnull=True)

    def written(self, secret: str) -> Any:
        """What to write into the field, so that it holds ``secret`` under the current key."""
        if not self.member:
            return secret
        path = Value([self.member], output_field=ArrayField(TextField()))
        value = Value(encrypt_secret(secret), output_field=models.JSONField())
        return Func(self.field.name, path, value, function="jsonb_set")


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one batch: how many rows were encrypted again, how many cannot be read with the ring."""

    column: str
    rotated: int
    unreadable: int


def secret_columns() -> list[Column]:
    """Every column of secrets in the product."""
    data = Authenticator._meta.get_field("data")
    members = [Column(Authenticator, data, member) for member in SECRET_MEMBERS]
    return members + [
        Column(model, field)
        for model in apps.get_models()
        for field in model._meta.local_fields
        if isinstance(field, SecretTextField)
    ]


def secrets_by_key() -> dict[str, Counter[str]]:
    """For each column, how many secrets were written with which key (by id; empty: not in the stored form)."""
    return {
        column.name: Counter(key_id_of(text) for text in column.rows().values_list("stored", flat=True).iterator())
        for column in secret_columns()
    }


def reencrypt_secrets(*, batch: int = BATCH) -> Iterator[Progress]:
    """Encrypt every secret of an older key again with the current one; reports after each batch."""
    for column in secret_columns():
        old = column.rows().exclude(stored__startswith=f"f1.{current_key_id()}.").order_by("pk")
        rows = list(old.values_list("pk", "stored")[:batch])
        while rows:
            outcomes = [_rotate(column, pk, text) for pk, text in rows]
            yield Progress(column.name, outcomes.count(True), outcomes.count(False))
            rows = list(old.filter(pk__gt=rows[-1][0]).values_list("pk", "stored")[:batch])


def _rotate(column: Column, pk: object, text: str) -> bool:
    """False when the ring cannot read it. A row that was changed meanwhile is on the current key already."""
    try:
        secret = decrypt_secret(text)
    except UndecryptableSecret:
        return False
    column.rows().filter(pk=pk, stored=text).update(**{column.field.name: column.written(secret)})
    return True

"""Secrets at rest: what the field stores, what it reads back, what it refuses."""

import base64
import io
import json
import pickle
import traceback

import pytest
from django.core import serializers
from django.core.exceptions import FieldError
from django.db import connection
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils import timezone

from openrouter.fields import (
    SecretText,
    SecretTextField,
    UndecryptableSecret,
    current_key_id,
    decrypt_secret,
    encrypt_secret,
    key_id,
    key_id_of,
)
from openrouter.models import ByokCredential
from tests.builders import make_organization

SECRET = "sk-or-v1-0123456789abcdef"


@pytest.fixture(autouse=True)
def ring(settings):
    settings.FIELD_ENCRYPTION_KEYS = ["new-key", "old-key"]
    return settings


def make_credential(secret: str = SECRET) -> ByokCredential:
    return ByokCredential.objects.create(
        organization=make_organization(), secret=secret, last_four=secret[-4:], verified_at=timezone.now()
    )


def stored_text(credential: ByokCredential) -> str:
    return (
        ByokCredential.objects.annotate(raw=Cast("secret", TextField()))
        .values_list("raw", flat=True)
        .get(pk=credential.pk)
    )


def test_a_secret_survives_the_round_trip():
    assert decrypt_secret(encrypt_secret("clé ключ 🔑")) == "clé ключ 🔑"


def test_two_encryptions_of_one_secret_differ():
    assert encrypt_secret(SECRET) != encrypt_secret(SECRET)


def test_the_stored_form_names_format_and_key_and_holds_plain_text_not_a_pickle(ring):
    ring.FIELD_ENCRYPTION_KEYS = ["new-key"]
    stored = encrypt_secret(SECRET)
    mark, name, _token = stored.split(".")
    assert (mark, name) == ("f1", key_id("new-key"))
    assert SECRET not in stored
    # What is encrypted is the text itself: decrypting gives it back without any unpickling.
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(decrypt_secret(stored).encode())


def test_the_first_key_of_the_ring_writes():
    assert key_id_of(encrypt_secret(SECRET)) == current_key_id() == key_id("new-key")


def test_a_secret_of_an_older_key_of_the_ring_is_still_readable(ring):
    ring.FIELD_ENCRYPTION_KEYS = ["old-key"]
    stored = encrypt_secret(SECRET)
    ring.FIELD_ENCRYPTION_KEYS = ["new-key", "old-key"]
    assert decrypt_secret(stored) == SECRET


def test_a_key_taken_out_of_the_ring_is_named_in_the_error_and_the_secret_is_not(ring):
    ring.FIELD_ENCRYPTION_KEYS = ["old-key"]
    stored = encrypt_secret(SECRET)
    ring.FIELD_ENCRYPTION_KEYS = ["new-key"]
    with pytest.raises(UndecryptableSecret) as refused:
        decrypt_secret(stored)
    assert key_id("old-key") in str(refused.value)
    assert "rotate_encryption_key" in str(refused.value)
    assert "old-key" not in str(refused.value)


def test_every_single_flipped_bit_is_refused():
    stored = encrypt_secret("k")
    raw = stored.encode()
    for place in range(len(raw)):
        for bit in range(8):
            altered = bytearray(raw)
            altered[place] ^= 1 << bit
            with pytest.raises(UndecryptableSecret):
                decrypt_secret(altered.decode("latin-1"))


def test_a_token_under_the_right_id_but_another_key_is_refused():
    _mark, _name, token = encrypt_secret(SECRET).split(".")
    with pytest.raises(UndecryptableSecret):
        decrypt_secret(f"f1.{key_id('old-key')}.{token}")


@pytest.mark.parametrize("stored", ["", "plain", SECRET, "f2.01234567.abcd", "f1.0123.abcd", "f1.01234567."])
def test_text_that_is_no_stored_secret_is_refused(stored):
    with pytest.raises(UndecryptableSecret):
        decrypt_secret(stored)


def test_the_refusal_keeps_neither_token_nor_secret_in_its_traceback(ring):
    stored = encrypt_secret(SECRET)
    altered = stored[:-6] + "AAAA=="
    try:
        decrypt_secret(altered)
    except UndecryptableSecret as error:
        assert error.__context__ is None
        assert SECRET not in "".join(traceback.format_exception(error))


def test_changing_the_secret_key_changes_nothing(ring):
    ring.SECRET_KEY = "one"
    stored = encrypt_secret(SECRET)
    ring.SECRET_KEY = "another"
    ring.SECRET_KEY_FALLBACKS = []
    assert decrypt_secret(stored) == SECRET


def test_the_column_holds_ciphertext_and_the_instance_the_secret(db):
    credential = make_credential()
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM openrouter_byokcredential")
        [(column,)] = cursor.fetchall()
    assert column == stored_text(credential)
    assert SECRET not in column
    assert key_id_of(column) == current_key_id()
    assert ByokCredential.objects.get().secret == SECRET


def test_the_empty_text_is_stored_as_it_is(db):
    credential = make_credential("")
    assert stored_text(credential) == ""
    assert ByokCredential.objects.get().secret == ""


def test_a_stored_secret_cannot_be_searched(db):
    with pytest.raises(FieldError):
        ByokCredential.objects.filter(secret=SECRET).exists()
    with pytest.raises(FieldError):
        ByokCredential.objects.filter(secret__contains="sk").exists()


def test_a_loaded_secret_shows_four_characters_in_a_repr(db):
    make_credential()
    loaded = ByokCredential.objects.get()
    assert isinstance(loaded.secret, SecretText)
    assert repr(loaded.secret) == "<secret …cdef>"
    assert SECRET not in repr(loaded.__dict__)
    assert repr(SecretText("short")) == "<secret>"


def test_fixtures_carry_ciphertext_and_load_again(db):
    credential = make_credential()
    text = serializers.serialize("json", [credential])
    assert SECRET not in text
    assert key_id_of(json.loads(text)[0]["fields"]["secret"]) == current_key_id()
    ByokCredential.objects.all().delete()
    for row in serializers.deserialize("json", io.StringIO(text)):
        row.save()
    assert ByokCredential.objects.get().secret == SECRET


def test_no_form_has_the_field():
    assert SecretTextField().formfield() is None


def test_the_token_is_authenticated_before_it_is_decrypted():
    _mark, name, token = encrypt_secret(SECRET).split(".")
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[-1] ^= 1
    with pytest.raises(UndecryptableSecret, match="altered"):
        decrypt_secret(f"f1.{name}.{base64.urlsafe_b64encode(bytes(raw)).decode()}")

"""Rotation of the encryption key over the rows that it protects."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import TextField
from django.db.models.functions import Cast
from django.utils import timezone

from openrouter.fields import encrypt_secret, key_id, key_id_of
from openrouter.models import ByokCredential, ProviderAccount
from openrouter.services import encryption
from openrouter.services.encryption import reencrypt_secrets, secret_columns, secrets_by_key
from tests.builders import make_organization

pytestmark = pytest.mark.django_db

SECRETS = [f"sk-or-v1-{number:032x}" for number in range(7)]


@pytest.fixture
def ring(settings):
    settings.FIELD_ENCRYPTION_KEYS = ["old"]
    for number, secret in enumerate(SECRETS):
        organization = make_organization()
        ProviderAccount.objects.create(organization=organization, name=f"account {number}", secret=secret)
        ByokCredential.objects.create(
            organization=organization, secret=secret, last_four=secret[-4:], verified_at=timezone.now()
        )
    settings.FIELD_ENCRYPTION_KEYS = ["new", "old"]
    return settings


def stored(model) -> list[str]:
    return list(model.objects.annotate(raw=Cast("secret", TextField())).order_by("pk").values_list("raw", flat=True))


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("rotate_encryption_key", *arguments, stdout=out)
    return out.getvalue()


def test_every_column_of_secrets_is_found_by_its_class():
    names = {column.name for column in secret_columns()}
    assert {"openrouter.provideraccount.secret", "openrouter.byokcredential.secret"} <= names


def test_all_rows_move_to_the_current_key_and_keep_their_secrets(ring):
    run()
    for model in (ProviderAccount, ByokCredential):
        assert {key_id_of(text) for text in stored(model)} == {key_id("new")}
    ring.FIELD_ENCRYPTION_KEYS = ["new"]  # the old key may be dropped now
    assert [row.secret for row in ProviderAccount.objects.order_by("name")] == SECRETS


def test_a_second_run_changes_nothing(ring):
    run()
    before = stored(ByokCredential)
    assert list(reencrypt_secrets()) == []
    run()
    assert stored(ByokCredential) == before


def test_an_interrupted_run_is_continued_where_it_stopped(ring):
    progress = next(reencrypt_secrets(batch=3))
    assert (progress.rotated, progress.unreadable) == (3, 0)
    assert sum(1 for keys in secrets_by_key().values() for key in keys.elements() if key == key_id("new")) == 3
    done = sum(progress.rotated for progress in reencrypt_secrets(batch=3))
    assert done == 2 * len(SECRETS) - 3


def test_rows_come_in_batches_with_progress(ring):
    told = run("--batch", "3")
    assert "3 encrypted again" in told
    assert "7 encrypted again" in told
    assert "0 not on the current key" in told


def test_a_check_changes_nothing_and_counts_what_is_left(ring):
    before = stored(ByokCredential)
    with pytest.raises(CommandError, match="14 secrets are still on another key"):
        run("--check")
    assert stored(ByokCredential) == before


def test_the_report_counts_rows_by_key_as_json(ring):
    report = json.loads(run("--json"))
    assert report["current_key"] == key_id("new")
    assert report["columns"]["openrouter.byokcredential.secret"] == {key_id("new"): 7}
    assert set(report["left"].values()) == {0}


def test_what_no_key_can_read_is_left_as_it_is_and_reported(ring):
    ring.FIELD_ENCRYPTION_KEYS = ["lost"]
    unreadable = encrypt_secret("sk-or-v1-gone")
    ring.FIELD_ENCRYPTION_KEYS = ["new", "old"]
    victim = ByokCredential.objects.first()
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE openrouter_byokcredential SET secret = %s WHERE organization_id = %s", [unreadable, victim.pk]
        )
    with pytest.raises(CommandError, match="1 secrets are still on another key"):
        run("--batch", "2")
    assert unreadable in stored(ByokCredential)
    assert sum(key_id_of(text) == key_id("new") for text in stored(ByokCredential)) == 6


def test_a_secret_replaced_while_it_is_rotated_keeps_its_new_value(ring, monkeypatch):
    victim = ByokCredential.objects.order_by("pk").first()
    plain = encryption.decrypt_secret

    def replace_meanwhile(text):
        monkeypatch.setattr(encryption, "decrypt_secret", plain)
        ByokCredential.objects.filter(pk=victim.pk).update(secret="sk-or-v1-replaced")
        return plain(text)

    ProviderAccount.objects.all().delete()
    monkeypatch.setattr(encryption, "decrypt_secret", replace_meanwhile)
    list(reencrypt_secrets())
    assert ByokCredential.objects.get(pk=victim.pk).secret == "sk-or-v1-replaced"


def test_progress_and_report_name_no_key_and_no_secret(ring):
    told = run()
    assert all(secret not in told for secret in SECRETS)
    assert "old" not in told.replace("older", "")

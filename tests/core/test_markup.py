"""What people and their programs have written is text on every page, never markup: in every column that holds words."""

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import CharField, JSONField, TextField

from metering.price_book import forget_price_book
from tests.browser import pages
from tests.builders import sign_in

pytestmark = pytest.mark.django_db

EVIL = "\"><svg/onload=alert(1)>'"
OURS = ("accounts", "outbox", "credits", "payments", "tiers", "coupons", "metering", "openrouter", "billing")
# Columns of words by their names; the others hold codes, keys, addresses that are checked, and what only programs read.
WORDS = {
    *("name", "reason", "actor", "actor_label", "label", "title", "description", "note", "text", "code", "partner"),
    *("requested_by", "failure_message", "pause_reason", "model", "provider", "external_id", "generation_id"),
    *("problem", "response", "payload", "url", "explanation", "last_error", "error_type", "answer"),
}
WORDS_IN_JSON = {"tags", "metadata", "subject"}


def columns():
    """(model, field, what to write) for every column of words of every table of ours."""
    for model in apps.get_models():
        if model._meta.app_label not in OURS:
            continue
        for field in model._meta.concrete_fields:
            if isinstance(field, JSONField) and field.name in WORDS_IN_JSON:
                yield model, field, {EVIL: EVIL, "description": EVIL}
            elif isinstance(field, CharField | TextField) and field.name in WORDS and not field.choices:
                yield model, field, EVIL[: field.max_length] if field.max_length else EVIL


def poison() -> set[str]:
    """Write it everywhere; where rows must differ, into one of them. The columns that took it."""
    taken = set()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # the ledger lets nothing be changed
    for model, field, words in columns():
        first = model._base_manager.order_by("pk").values_list("pk", flat=True)[:1]
        for rows in (model._base_manager.all(), model._base_manager.filter(pk__in=list(first))):
            try:
                with transaction.atomic():
                    if rows.update(**{field.name: words}):
                        taken.add(f"{model._meta.label}.{field.name}")
                break
            except (IntegrityError, DataError):
                continue
    return taken


def test_words_from_outside_are_text_on_every_page(settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    cache.clear()
    world = pages.furnish()
    client = sign_in(world.owner)
    addresses = pages.of_members(world, client)
    taken = poison()
    forget_price_book()
    assert {"accounts.Organization.name", "metering.UsageEvent.tags", "credits.LedgerEntry.reason"} <= taken
    found, shown = [], 0
    for address in addresses:
        answer = client.get(address.removeprefix(settings.PUBLIC_URL))
        text = answer.content.decode()
        found += [f"{address}: {answer.status_code}"] if answer.status_code >= 500 else []
        found += [address] if "<svg/onload" in text else []
        shown += "&lt;svg/onload" in text
    assert found == [] and shown > len(addresses) / 2  # they were there to be seen

"""The provider's list on its way to the price book."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from metering.models import LanguageModel, ModelPrice
from openrouter.services import sync_catalogue
from sandbox.testing import running_sandbox
from tests.openrouter.building import now
from tests.ports import free_port

pytestmark = pytest.mark.django_db


def test_a_sync_brings_models_of_every_kind_with_exact_prices(provider):
    reports, failures = sync_catalogue(at=now())
    assert failures == {}
    assert list(reports) == ["live and test"]
    listed = {row["id"] for row in provider.call("GET", "/api/v1/models?output_modalities=all")[1]["data"]}
    assert set(reports["live and test"].added) | set(reports["live and test"].refused) == listed
    price = ModelPrice.objects.get(model_id="openai/gpt-4o-mini", effective_to=None)
    assert (price.pricing["prompt"], price.pricing["input_cache_read"]) == ("0.00000015", "0.000000075")
    outputs = {kind for model in LanguageModel.objects.all() for kind in model.output_modalities}
    assert {"text", "embeddings", "speech"} <= outputs


def test_a_second_sync_changes_nothing(provider):
    sync_catalogue(at=now())
    before = ModelPrice.objects.count()
    reports, _ = sync_catalogue(at=now())
    assert reports["live and test"].added == reports["live and test"].repriced == []
    assert ModelPrice.objects.count() == before


def test_the_account_behind_test_keys_only_adds_models_of_its_own(provider, settings):
    with running_sandbox() as live:
        live.app.catalogue.models.pop("sandbox/echo", None)
        settings.OPENROUTER_BASE_URL = live.base_url
        reports, _ = sync_catalogue(at=now())
    assert list(reports) == ["live", "test"]
    assert set(ModelPrice.objects.values_list("source", flat=True)) <= {"openrouter", "openrouter sandbox"}
    assert (
        ModelPrice.objects.filter(model_id="openai/gpt-4o-mini").values_list("source", flat=True).get() == "openrouter"
    )


def test_a_provider_that_cannot_be_read_keeps_the_prices_and_the_other_one_is_still_synced(provider, settings):
    sync_catalogue(at=now())
    before = ModelPrice.objects.count()
    settings.OPENROUTER_BASE_URL = f"http://127.0.0.1:{free_port()}/api/v1"
    reports, failures = sync_catalogue(at=now())
    assert list(reports) == ["test"]
    assert list(failures) == ["live"]
    assert ModelPrice.objects.count() == before


def test_the_command_reports_and_fails_when_a_provider_could_not_be_read(provider, settings):
    out = StringIO()
    call_command("sync_models", "--json", stdout=out)
    assert "openai/gpt-4o-mini" in json.loads(out.getvalue())["synced"]["live and test"]["added"]
    out = StringIO()
    call_command("sync_models", stdout=out)
    assert "0 new" in out.getvalue()
    settings.OPENROUTER_BASE_URL = f"http://127.0.0.1:{free_port()}/api/v1"
    with pytest.raises(CommandError, match="live: "):
        call_command("sync_models", stdout=StringIO())

"""Operators' price book: shown by the million, set from an instant on, never edited."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from metering.models import LanguageModel, ModelPrice
from metering.price_book import card_for
from metering.services.price_book import sync_models
from outbox.models import DomainEvent
from tests.builders import make_user, sign_in

pytestmark = pytest.mark.django_db

LISTED = {"prompt": "0.00000015", "completion": "0.0000006", "input_cache_read": "0.000000075"}
MODEL = "acme/small"
PAGE = f"/admin/metering/languagemodel/{MODEL}/"
CHOSEN = {"prompt": "0.30", "completion": "1.2", "note": "Acme raised it"}


@pytest.fixture
def site():
    listed_at = timezone.now() - timedelta(days=1)
    records = [
        {"id": MODEL, "name": "Acme Small", "context_length": 128_000, "pricing": LISTED},
        {"id": "acme/gift", "name": "Gift", "pricing": {"prompt": "0", "completion": "0"}},
        {"id": "acme/router", "name": "Router", "pricing": {"prompt": "-1", "completion": "-1"}},
    ]
    sync_models(records, source="openrouter", at=listed_at)
    return sign_in(make_user(is_staff=True, is_superuser=True))


def set_price(site: Client, path: str = f"{PAGE}price/", **fields):
    """Fill in, look at the change, confirm it."""
    preview = site.post(path, {**CHOSEN, **fields})
    assert preview.status_code == 200, preview
    return site.post(path, {**CHOSEN, **fields, "seen": preview.context.get("digest", "")})


def listed(site: Client, query: str = "") -> str:
    return site.get(f"/admin/metering/languagemodel/{query}").content.decode()


def operator_rows() -> int:
    return ModelPrice.objects.filter(source="operator").count()


def test_prices_are_listed_by_the_million_tokens(site):
    page = listed(site)
    assert all(text in page for text in (MODEL, "Acme Small", "$0.15", "$0.60", "$0.075", "by route", "openrouter"))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?q=smal", {MODEL}),
        ("?price=free", {"acme/gift"}),
        ("?price=paid", {MODEL}),
        ("?price=route", {"acme/router"}),
        ("?price=none", set()),
        ("?set_by=openrouter", {MODEL, "acme/gift", "acme/router"}),
        ("?set_by=operator", set()),
        ("?listed=no", set()),
        ("?o=-2", {MODEL, "acme/gift", "acme/router"}),
    ],
)
def test_models_are_found_by_name_price_source_and_standing(site, query, found):
    rows = site.get(f"/admin/metering/languagemodel/{query}").context["cl"].result_list
    assert {row.id for row in rows} == found


def test_a_vanished_model_is_found_as_such(site):
    LanguageModel.objects.filter(id=MODEL).update(vanished_at=timezone.now())
    assert MODEL in listed(site, "?listed=no") and MODEL not in listed(site, "?listed=yes")


def test_a_confirmed_price_holds_from_now_on_and_is_audited(site):
    assert set_price(site)["Location"].endswith(f"/{MODEL.replace('/', '_2F')}/change/")
    price = card_for(MODEL, timezone.now())
    assert price.card.prices == {"prompt": Decimal("0.0000003"), "completion": Decimal("0.0000012")}
    old, new = ModelPrice.objects.filter(model_id=MODEL).order_by("effective_from")
    assert (old.effective_to, new.source, new.note) == (new.effective_from, "operator", "Acme raised it")
    event = DomainEvent.objects.get(type="price.set")
    assert event.actor is not None and event.data["note"] == "Acme raised it"
    assert "Acme raised it" in LogEntry.objects.get().change_message
    assert "$0.30" in site.get(f"{PAGE}change/").content.decode()


def test_a_price_is_shown_beside_the_present_one_before_it_is_set(site):
    page = site.post(f"{PAGE}price/", {**CHOSEN, "prompt": "150"})
    assert operator_rows() == 0
    [change] = [each for each in page.context["changes"] if each.label == "Input tokens"]
    assert (change.before, change.after, change.compared) == ("$0.15", "$150.00", "× 1,000")


def test_what_was_not_shown_is_not_set(site):
    preview = site.post(f"{PAGE}price/", CHOSEN)
    site.post(f"{PAGE}price/", {**CHOSEN, "prompt": "300", "seen": preview.context["digest"]})
    assert operator_rows() == 0


def test_a_price_may_wait_for_its_day(site):
    start = (timezone.now() + timedelta(days=3)).replace(second=0, microsecond=0)
    set_price(site, effective_from=f"{start:%Y-%m-%dT%H:%M}")
    assert card_for(MODEL, timezone.now()).source == "openrouter"
    assert card_for(MODEL, start).source == "operator"
    page = site.get(f"{PAGE}change/").content.decode()
    assert "set for later" in page and "holds now" in page


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"note": ""}, "note"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "-2"}, "prompt"),
        ({"prompt": "-1"}, "prompt"),
        ({"completion": "NaN"}, "completion"),
        ({"completion": "1_000"}, "completion"),
        ({"completion": "99999999999999999"}, "completion"),
        ({"discount": "2"}, "discount"),
        ({"overrides": "[{"}, "overrides"),
        ({"overrides": '{"prompt": "1"}'}, "overrides"),
        ({"overrides": '[{"min_prompt_tokens": 9, "prompt": "-1"}]'}, "overrides"),
        ({"service_tiers": "[1]"}, "service_tiers"),
        ({"prompt": f"0.{'0' * 40}1"}, "prompt"),
        ({"effective_from": "2020-01-01T00:00"}, "effective_from"),
        ({"effective_from": "tomorrow"}, "effective_from"),
    ],
)
def test_what_cannot_be_charged_exactly_is_refused_at_its_field_and_sets_nothing(site, fields, where):
    page = set_price(site, **fields)
    assert page.status_code == 200 and where in page.context["form"].errors
    assert operator_rows() == 0 and not LogEntry.objects.exists()


def test_every_price_class_and_condition_can_be_set(site):
    set_price(
        site,
        input_cache_read="0.03",
        request="0.001",
        image="0.01",
        character="15",
        second="0.0001",
        discount="0.1",
        overrides='[{"min_prompt_tokens": 200000, "prompt": "0.0000006"}, {"utc_start": 1630, "completion": "0"}]',
        service_tiers='{"priority": "1.75"}',
    )
    card = card_for(MODEL, timezone.now()).card
    shown = [card.prices[key] for key in ("input_cache_read", "request", "image", "character", "second")]
    assert shown == [Decimal(text) for text in ("0.00000003", "0.001", "0.01", "0.000015", "0.0001")]
    assert (card.discount, len(card.overrides), card.service_tiers["priority"]) == (Decimal("0.1"), 2, Decimal("1.75"))
    page = site.get(f"{PAGE}change/").content.decode()
    assert "over 200,000 input tokens" in page and "16:30–24:00 UTC" in page and "10.0 % off" in page
    again = site.get(f"{PAGE}price/").context["form"]
    assert again.initial["prompt"] == "0.3" and "200000" in again.initial["overrides"]


def test_a_model_that_nobody_lists_is_added_with_its_price(site):
    path = "/admin/metering/languagemodel/add/"
    set_price(site, path, model_id="own/llama", name="Our Llama")
    assert LanguageModel.objects.get(id="own/llama").name == "Our Llama"
    assert card_for("own/llama", timezone.now()).source == "operator"
    assert "model_id" in set_price(site, path, model_id=MODEL).context["form"].errors
    assert "model_id" in set_price(site, path, model_id="with space").context["form"].errors


def test_a_model_follows_the_provider_again_when_asked_to(site):
    set_price(site)
    assert "Follow the provider again" in site.get(f"{PAGE}change/").content.decode()
    assert site.get(f"{PAGE}follow/").status_code == 200
    assert "required" in site.post(f"{PAGE}follow/", {"reason": " "}).content.decode()
    assert card_for(MODEL, timezone.now()).source == "operator"
    site.post(f"{PAGE}follow/", {"reason": "The sale is over"})
    price = card_for(MODEL, timezone.now())
    assert (price.source, price.card.prices["prompt"]) == ("openrouter", Decimal("0.00000015"))
    assert DomainEvent.objects.get(type="price.followed").data["reason"] == "The sale is over"
    assert LogEntry.objects.count() == 2
    assert "Follow the provider again" not in site.get(f"{PAGE}change/").content.decode()


def test_a_model_that_was_never_listed_cannot_follow(site):
    set_price(site, "/admin/metering/languagemodel/add/", model_id="own/llama")
    answer = site.post("/admin/metering/languagemodel/own_2Fllama/follow/", {"reason": "x"})
    assert "No listed price is known" in answer.content.decode()
    assert card_for("own/llama", timezone.now()).source == "operator"


def test_rows_of_the_book_are_neither_edited_nor_deleted(site):
    row = ModelPrice.objects.get(model_id=MODEL)
    base = "/admin/metering/modelprice/"
    assert site.get(f"{base}{row.pk}/change/").status_code == 200
    assert site.post(f"{base}{row.pk}/change/", {"source": "forged"}).status_code == 403
    assert site.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert site.post(f"{PAGE}change/", {"name": "forged"}).status_code == 403
    assert site.post(f"{PAGE}delete/", {"post": "yes"}).status_code == 403
    assert ModelPrice.objects.get(pk=row.pk).source == "openrouter"


def test_only_operators_who_may_change_models_set_prices(site):
    reader = make_user(is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename__in=["view_languagemodel", "view_modelprice"]))
    client = sign_in(reader)
    page = client.get(f"{PAGE}change/").content.decode()
    assert "$0.15" in page and "Set a price" not in page
    for path in (f"{PAGE}price/", "/admin/metering/languagemodel/add/", f"{PAGE}follow/"):
        assert client.post(path, CHOSEN).status_code == 403, path
    assert client.get(f"{PAGE}price/").status_code == 403
    assert operator_rows() == 0


def test_an_unknown_model_has_no_price_form(site):
    assert site.get("/admin/metering/languagemodel/no/such/price/").status_code == 404

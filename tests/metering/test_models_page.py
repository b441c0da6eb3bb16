"""The list of models: searched, filtered, sorted; prices and what the plan includes."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Membership
from metering.models import LanguageModel
from metering.price_book import forget_price_book
from tests.builders import make_customer, make_user, sign_in
from tests.metering.reporting import make_model, make_reporter

pytestmark = pytest.mark.django_db


def browser(role="member", **tier):
    person = make_user()
    Membership.objects.create(organization=make_reporter("10", **tier), user=person, role=role)
    return sign_in(person)


@pytest.fixture
def models():
    make_model("openai/gpt-4o-mini", prompt="0.00000015", completion="0.0000006")
    make_model("anthropic/claude-opus-4", prompt="0.000015", completion="0.000075")
    make_model("gratis/one:free", prompt="0", completion="0", is_free=True)
    make_model("openai/embedding", prompt="0.00000002", completion="0")
    make_model("openai/auto", prompt="-1", completion="-1")
    make_model("openai/voice", prompt="0", completion="0", character="0.000015")
    LanguageModel.objects.filter(pk="openai/embedding").update(output_modalities=["embeddings"])
    LanguageModel.objects.filter(pk="openai/voice").update(output_modalities=["speech"])
    for number, model in enumerate(LanguageModel.objects.order_by("pk"), 1):
        details = {"created": 1_700_000_000 + number}
        LanguageModel.objects.filter(pk=model.pk).update(context_length=8_000 * 4**number, details=details)
    forget_price_book()


def listed(page, query=""):
    return [each.model.id for each in page.get(f"/models/{query}").context["page"]]


def text_of(page, query=""):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.get(f"/models/{query}").content.decode()))


def test_prices_stand_in_their_unit_and_unknown_ones_are_never_free(models):
    text = text_of(browser())
    assert "$0.15 in $0.60 out" in text and "$15.00 per million characters" in text
    assert "depends on the route" in text and text.count(" free") >= 1
    LanguageModel.objects.create(id="acme/unpriced", name="Unpriced", source="test")
    forget_price_book()
    assert "price unknown" in text_of(browser(), "?q=unpriced")
    assert listed(browser(), "?price=free") == ["gratis/one:free"]


def test_models_are_found_by_words_of_their_name_and_by_what_they_do(models):
    page = browser()
    assert listed(page, "?q=GPT+openai") == ["openai/gpt-4o-mini"]
    assert listed(page, "?writes=embeddings") == ["openai/embedding"]
    assert listed(page, "?price=paid&q=claude") == ["anthropic/claude-opus-4"]
    assert len(listed(page, "?context=1000000")) == 3
    assert "No model fits" in text_of(page, "?q=zzz")
    assert (
        len(listed(page, "?writes=zzz&context=x&price=zzz&sort=zzz&page=zzz")) == 6
    )  # what is no choice filters nothing


@pytest.mark.parametrize(
    ("order", "first", "last"),
    [
        ("newest", "openai/voice", "anthropic/claude-opus-4"),
        ("input", "gratis/one:free", "openai/voice"),
        ("output", "gratis/one:free", "openai/voice"),
        ("context", "openai/voice", "anthropic/claude-opus-4"),
    ],
)
def test_models_are_sorted_and_what_has_no_such_price_comes_last(models, order, first, last):
    found = listed(browser(), f"?sort={order}")
    assert (found[0], found[-1]) == (first, last)


def test_only_what_the_plan_includes_can_be_tried_in_the_lab(models):
    page = browser(model_access="free")
    text = page.get("/models/").content.decode()
    assert text.count("not in your plan") == 5 and re.findall(r"/lab/\?model=([^\"]+)", text) == ["gratis/one%3Afree"]
    assert listed(page, "?plan=mine") == ["gratis/one:free"]
    assert "/lab/?model=" not in browser(role="viewer", model_access="free").get("/models/").content.decode()
    assert "/lab/?model=" in browser().get("/models/openai/gpt-4o-mini/").content.decode()
    assert "/lab/?model=" not in browser().get("/models/openai/embedding/").content.decode()


def test_pages_of_the_list_keep_the_search(models, monkeypatch):
    monkeypatch.setattr("metering.catalogue_pages.PAGE_SIZE", 2)
    page = browser()
    first = page.get("/models/?q=openai&sort=name")
    assert "?q=openai&amp;sort=name&amp;page=2" in first.content.decode()
    assert [len(listed(page, f"?q=openai&page={number}")) for number in (1, 2, 99)] == [2, 2, 2]


def test_names_of_models_and_searches_are_text_never_markup(models):
    evil = "<script>alert(1)</script>"
    make_model(f"evil/{evil}")
    assert "<script>alert" not in browser().get(f"/models/?q={evil}").content.decode()
    assert "<script>alert" not in browser().get("/models/").content.decode()


def test_the_list_asks_as_much_for_many_models_as_for_one(memory_keeps):
    page, counts = browser(), []
    for number in range(25):
        make_model(f"maker/model-{number}")
        if number in (0, 24):
            forget_price_book()
            page.get("/models/")
            with CaptureQueriesContext(connection) as asked:
                page.get("/models/")
            counts.append(len(asked))
    assert (
        max(counts) <= 9 and counts[1] - counts[0] <= 2
    )  # prices and terms in memory are looked up again after a moment


def test_without_models_the_page_says_where_they_come_from():
    customer = make_customer(owner=make_user())
    assert "No models yet" in sign_in(customer.memberships.get().user).get("/models/").content.decode()

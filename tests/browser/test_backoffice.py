"""The back office in a real browser: no barrier, nothing blocked by the content policy, and a price set by hand."""

import pytest
from django.contrib import admin
from playwright.sync_api import expect

from metering.models import LanguageModel
from metering.price_book import card_for
from tests.admin.furniture import furnish
from tests.admin.pages import pages
from tests.browser import stage
from tests.builders import make_user

pytestmark = pytest.mark.django_db(transaction=True)

POST_ONLY, STOCK_KINDS = {"confirm", "retry", "discard"}, {"history", "delete"}
FILES = {"pdf", "codes", "result", "template"}
# Pages that are not laid out by Django alone.
ARRANGED = {"Organization", "ApiKey", "CreditAccount", "LedgerEntry", "LanguageModel", "ModelPrice", "UsageEvent"}
# The stock tables of rows below a form begin with a column that has no heading.
STOCK = "empty-table-header"


@pytest.fixture
def operator():
    furnish(2)
    return make_user(email="boss@example.com", password=stage.PASSWORD, is_staff=True, is_superuser=True)


def enter(page, server: str) -> None:
    page.goto(f"{server}/admin/")
    page.get_by_label("E-mail address").fill("boss@example.com")
    page.get_by_label("Password").fill(stage.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/")


@pytest.mark.slow
def test_no_page_of_an_operator_has_a_barrier(operator, new_context, live_server, monkeypatch):
    page = stage.open_to_axe(new_context)
    stage.let_in(page, live_server.url, operator)
    arranged = [each for each in pages() if each.model.__name__ in ARRANGED]
    wanted = [each.address for each in arranged if each.kind not in POST_ONLY | STOCK_KINDS | FILES]
    lists = [each.address for each in pages() if each.kind == "changelist" and each not in arranged]
    complaints, found = stage.complaints_of(page), _with_the_list_of_all_tables(page, live_server.url + wanted[0])
    monkeypatch.setattr(admin.site, "enable_nav_sidebar", False)
    for address in ["/admin/", *wanted, *lists]:
        answer = page.goto(live_server.url + address)
        if answer.status == 403:  # not even to be asked for: test_whole.py
            complaints.clear()
            continue
        # Lists are all laid out by the same template: their own part is the rows.
        seen = stage.barriers_on(page, looks=stage.ONE_LOOK) if address in lists else stage.barriers_on(page)
        found += [f"{address}: {each}" for each in (*seen, *complaints) if STOCK not in each]
        complaints.clear()
    assert found == []


def _with_the_list_of_all_tables(page, address: str) -> list[str]:
    """It stands beside every page and is the same there, so it is looked at once."""
    page.goto(address)
    assert page.locator("#nav-sidebar a").count() > 40
    return [each for each in stage.barriers_on(page, whole=True) if STOCK not in each]


def test_an_operator_sets_a_price_after_seeing_what_would_change(operator, live_server, page):
    model = LanguageModel.objects.order_by("id").first()
    enter(page, live_server.url)
    complaints = stage.complaints_of(page)
    page.get_by_role("link", name="Language models").first.click()
    page.get_by_role("link", name=model.id).click()
    page.get_by_role("link", name="Set a price").click()
    page.get_by_label("Input tokens").fill("150")
    page.get_by_label("Note").fill("Dearer")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_role("row", name="Input tokens")).to_contain_text("× 150")
    page.get_by_label("Input tokens").fill("1.5")
    page.get_by_role("button", name="Set this price").click()
    expect(page.get_by_role("row", name="Input tokens")).to_contain_text("+50.0 %")
    page.get_by_role("button", name="Set this price").click()
    expect(page.get_by_role("row", name="holds now")).to_contain_text("$1.50")
    assert (
        str(card_for(model.id, model.prices.latest("effective_from").effective_from).card.prices["prompt"])
        == "0.0000015"
    )
    assert complaints == []

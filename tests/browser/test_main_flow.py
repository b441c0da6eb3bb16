"""Signing in, making a key, calling, watching the balance fall, and understanding the charge."""

import re

import pytest
from playwright.sync_api import expect

from accounts.directory import forget_keys
from tests.browser import stage

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 1000
LIVE = 2 * SECONDS + 1500  # a change shows within two seconds, and some for a busy machine


@pytest.fixture
def customer():
    forget_keys()
    return stage.furnish()


@pytest.fixture
def server(live_server):
    return live_server.url


def amount_of(page) -> str:
    return page.locator("[data-figure=balance]").inner_text()


def test_from_the_login_to_the_explanation_of_a_charge(customer, server, page):
    complaints = stage.complaints_of(page)
    stage.sign_in(page, server)
    page.get_by_role("link", name="API keys").first.click()
    page.get_by_role("link", name="New key").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_label("Report usage").check()
    page.get_by_role("button", name="Make the key").click()
    secret = page.locator("#secret").inner_text()
    assert re.fullmatch(r"fbx_live_[\w-]{43}", secret)

    page.get_by_role("link", name="Overview").first.click()
    before = amount_of(page)
    answer = page.request.post(
        f"{server}/api/v1/metering/track",
        headers={"Authorization": f"Bearer {secret}"},
        data={"kind": "search", "name": "center-deep.search", "cost": "0.75"},
    )
    assert answer.ok, answer.text()
    expect(page.locator("[data-figure=balance]")).not_to_have_text(before, timeout=LIVE)
    latest = page.locator("#recent .row-link").first
    expect(latest).to_contain_text("center-deep.search")
    latest.click()
    expect(page.get_by_text("Computed again just now: agrees")).to_be_visible()
    expect(page.get_by_role("heading", name="Paid from")).to_be_visible()
    page.get_by_role("link", name=re.compile(r"^Transaction \d")).click()
    expect(page.get_by_role("heading", name="Lots it touched")).to_be_visible()
    assert complaints == []


def test_a_hidden_tab_asks_for_nothing_and_catches_up_when_seen_again(customer, server, page):
    stage.sign_in(page, server)
    hide = "(hidden) => { Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden}) }"
    page.evaluate(hide, True)
    page.wait_for_timeout(SECONDS)  # what was asked before is answered
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/dashboard/live/" in request.url else None)
    before = amount_of(page)
    stage.call(customer, "1")
    page.wait_for_timeout(2.5 * SECONDS)
    assert (asked, amount_of(page)) == ([], before)
    page.evaluate(hide, False)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("[data-figure=balance]")).not_to_have_text(before, timeout=LIVE)


def test_an_unchanged_wallet_is_left_alone(customer, server, page):
    stage.sign_in(page, server)
    page.evaluate("document.querySelector('#wallet').dataset.same = 'yes'")
    with page.expect_response(lambda answer: "/dashboard/live/" in answer.url) as waiting:
        pass
    assert waiting.value.status == 204
    assert page.locator("#wallet[data-same=yes]").count() == 1


def test_everything_but_charts_and_live_parts_works_without_scripts(customer, server, new_context):
    page = new_context(java_script_enabled=False).new_page()
    stage.sign_in(page, server)
    expect(page.get_by_role("region", name="Spend by day and model")).to_be_visible()  # the table instead of the chart
    page.get_by_role("link", name="Transactions").first.click()
    page.get_by_label("Kind").select_option("refund")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".row-link")).to_have_count(1)
    page.locator(".row-link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Transaction")
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Test").click()
    expect(page.get_by_text("Sandbox books")).to_be_visible()
    page.get_by_role("button", name="Live").click()
    page.goto(f"{server}/keys/")
    page.get_by_role("link", name="Revoke test").click()
    page.get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_text("“test” is revoked")).to_be_visible()


def test_a_theme_is_chosen_at_once_and_kept(customer, server, page):
    stage.sign_in(page, server)
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="As the system").click()
    page.reload()
    assert page.locator("html").get_attribute("data-theme") is None


def test_every_digit_shows_on_keyboard_focus(customer, server, page):
    stage.sign_in(page, server)
    big = page.locator("[data-figure=balance] abbr")
    big.focus()
    content = big.evaluate("(element) => getComputedStyle(element, '::after').content")
    assert content.strip('"') == big.get_attribute("title")
    page.keyboard.press("Tab")  # from now on the keyboard leads
    row = page.locator("#recent tr:has(abbr.money)").first
    row.locator(".row-link").focus()
    shown = row.locator("abbr.money")
    after = shown.evaluate("(element) => getComputedStyle(element, '::after').content")
    assert after.strip('"') == shown.get_attribute("title")


def test_a_chart_is_read_with_the_arrow_keys(customer, server, page):
    stage.sign_in(page, server)
    chart = page.get_by_role("img", name="Spend by day and model")
    chart.focus()
    page.keyboard.press("End")
    last = page.locator("figure tbody tr").last
    day = last.locator("th").inner_text() if last.is_visible() else last.locator("th").text_content()
    expect(page.locator("#spoken")).to_contain_text(day.strip())
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#spoken")).not_to_contain_text(day.strip())


def test_menus_open_by_key_and_close_with_escape(customer, server, page):
    stage.sign_in(page, server)
    summary = page.locator("summary", has_text="Account:")
    summary.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Change password")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Change password")).to_be_hidden()
    expect(summary).to_be_focused()


def test_code_is_copied_as_it_stands(customer, server, new_context):
    context = new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    stage.sign_in(page, server)
    page.get_by_text("Python", exact=True).click()
    page.locator(".choice-2 [data-copy]").click()
    expect(page.locator(".choice-2 [data-label]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("from openai import OpenAI")

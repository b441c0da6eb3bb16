"""Every page, in both themes, on a desk and on a phone: nothing for axe to find, nothing to scroll sideways for."""

import pytest
from django.utils import timezone

from credits.models import EntryKind, LedgerEntry
from tests.browser import stage
from tests.builders import make_customer, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

WIDTHS = (1280, 390)
EMPTY = ("/dashboard/", "/usage/", "/usage/events/", "/transactions/", "/keys/", "/plan/", "/notifications/")
FOR_VISITORS = [
    "/",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/nothing-here/",
]


def pages_of(customer) -> list[str]:
    """Everything a member can open."""
    charge = LedgerEntry.objects.filter(account_id=customer.id, kind=EntryKind.CHARGE)
    refunded, held = charge.filter(reversals__isnull=False).first(), charge.filter(hold_id__isnull=False).first()
    key = customer.api_keys.filter(revoked_at__isnull=True).first()
    return [
        "/dashboard/",
        "/dashboard/?days=90",
        "/usage/",
        "/usage/?by=tag&metric=tokens",
        "/usage/?by=member&days=7",
        "/usage/events/",
        "/usage/events/?kind=tts",
        "/models/anthropic/claude-sonnet-4.5/",
        "/plan/",
        "/plan/switch/?tier=starter",
        "/notifications/",
        "/notifications/settings/",
        "/credits/statements/",
        "/credits/statements/current/",
        "/coupons/",
        f"/usage/{held.event_id}/",
        f"/usage/{refunded.event_id}/",
        "/transactions/",
        "/transactions/?q=nothing+like+it",
        f"/transactions/{refunded.id}/",
        "/keys/",
        "/keys/new/",
        f"/keys/{key.id}/revoke/",
        f"/keys/{key.id}/rotate/",
        "/accounts/email/",
        "/accounts/password/change/",
        "/accounts/logout/",
    ]


# What is drawn has the colours that were asked for.
_NEXT_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


def inspect(page, server, path) -> list[str]:
    """One load for both themes: the colours follow at once, and nothing but colours differs between them."""
    page.goto(server + path)
    page.wait_for_load_state("load")
    found = stage.violations_on(page)
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.append("scrolls sideways")
    page.emulate_media(color_scheme="dark")
    page.evaluate(_NEXT_FRAMES)
    found += stage.violations_on(page, ("color-contrast",))
    page.emulate_media(color_scheme="light")
    return [f"{path}: {each}" for each in found]


@pytest.fixture
def look_at(new_context, live_server):
    def open_page(width):
        context = new_context(viewport={"width": width, "height": 900}, color_scheme="light", reduced_motion="reduce")
        page = context.new_page()
        page.complaints = stage.complaints_of(page)
        return page

    return open_page


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_of_a_member_has_a_barrier(look_at, live_server, width):
    customer = stage.furnish()
    page = look_at(width)
    stage.sign_in(page, live_server.url)
    assert [each for path in pages_of(customer) for each in inspect(page, live_server.url, path)] == []
    assert page.complaints == []


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_of_a_visitor_has_a_barrier(look_at, live_server, width):
    page = look_at(width)
    found = [each for path in FOR_VISITORS for each in inspect(page, live_server.url, path)]
    assert found == []


@pytest.mark.parametrize("width", WIDTHS)
def test_empty_pages_and_open_menus_have_no_barrier(look_at, live_server, width):
    make_customer(owner=make_user(email="ada@example.com", password=stage.PASSWORD), name="New", at=timezone.now())
    page = look_at(width)
    stage.sign_in(page, live_server.url)
    found = [
        each
        for path in (
            "/dashboard/",
            "/usage/",
            "/usage/events/",
            "/transactions/",
            "/keys/",
            "/plan/",
            "/notifications/",
        )
        for each in inspect(page, live_server.url, path)
    ]
    page.goto(f"{live_server.url}/keys/new/")
    page.get_by_role("button", name="Make the key").click()  # a form with errors
    found += stage.violations_on(page)
    if width < 900:
        page.get_by_role("button", name="Menu").click()
    page.locator("summary", has_text="Account:").click()
    found += stage.violations_on(page)
    page.keyboard.press("Escape")
    if width < 900 and not page.locator("#sidebar").is_visible():
        page.get_by_role("button", name="Menu").click()
    page.locator("#sidebar").get_by_role("button", name="Test").click()
    found += stage.violations_on(page)
    assert found == []

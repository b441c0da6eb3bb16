"""Every page, in both themes, on a desk and on a phone: nothing for axe to find, nothing to scroll sideways for."""

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.core.cache import cache
from django.utils import timezone

from accounts.principal import Actor
from accounts.services import invite, set_suspended
from accounts.services.invitations import Inviter
from tests.browser import pages, stage
from tests.builders import make_customer, make_user, sign_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

EMPTY = [
    *("/dashboard/", "/usage/", "/usage/events/", "/transactions/", "/keys/", "/plan/", "/notifications/", "/models/"),
    *("/webhooks/", "/coupons/", "/payments/", "/lab/", "/openrouter/", "/credits/statements/"),
]
FOR_VIEWERS = ["/dashboard/", "/keys/", "/team/", "/organization/", "/openrouter/", "/payments/", "/coupons/", "/plan/"]


@pytest.fixture
def page(new_context, live_server, settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    settings.PUBLIC_URL = live_server.url
    cache.clear()
    page = stage.open_to_axe(new_context)
    page.server, page.complaints = live_server.url, stage.complaints_of(page)
    return page


def inspect(page, paths, *, whole=()) -> list[str]:
    found = []
    for path in paths:
        page.goto(path if path.startswith("http") else page.server + path)
        found += [f"{path}: {each}" for each in stage.barriers_on(page, whole=path in whole)]
    return found


def test_no_page_of_a_member_has_a_barrier_nor_of_one_who_may_only_look(page):
    world = pages.furnish()
    stage.sign_in(page, page.server)  # through the form: pages of second factors want to know how
    addresses = pages.of_members(world, sign_in(world.owner))
    assert len(addresses) > 60
    assert inspect(page, addresses, whole=("/dashboard/", "/models/", "/lab/")) == []
    _give_second_factors(world.owner)
    assert inspect(page, pages.of_second_factors(world.owner)) == []
    world.colleague.role = "viewer"
    world.colleague.save()
    stage.let_in(page, page.server, world.colleague.user)
    assert inspect(page, FOR_VIEWERS) == []
    assert page.complaints == []


def _give_second_factors(person):
    confirmed = {"verified": True, "primary": True}
    EmailAddress.objects.update_or_create(user=person, email=person.email, defaults=confirmed)
    TOTP.activate(person, generate_totp_secret())
    RecoveryCodes.activate(person)
    told = {"clientExtensionResults": {"credProps": {"rk": True}}}
    data = {"name": "Phone", "credential": told}
    Authenticator.objects.create(user=person, type=Authenticator.Type.WEBAUTHN, data=data)


def test_no_page_of_a_visitor_has_a_barrier(page):
    customer = make_customer(owner=make_user(), name="Analytical Engines")
    by = Inviter(Actor("test"))
    invite(organization_id=customer.id, email="guest@example.com", role="viewer", by=by, at=timezone.now())
    visited = [*pages.FOR_VISITORS, pages.invitation_to("guest@example.com")]
    assert inspect(page, visited, whole=("/", "/accounts/login/")) == []


def test_empty_pages_and_open_menus_have_no_barrier(page):
    owner = make_user(email="ada@example.com", password=stage.PASSWORD)
    customer = make_customer(owner=owner, name="New", at=timezone.now())
    stage.let_in(page, page.server, owner)
    found = inspect(page, EMPTY)
    for size in (stage.DESK, stage.PHONE):
        page.set_viewport_size(size)
        found += _open_everything(page, is_phone=size is stage.PHONE)
    set_suspended(organization_id=customer.id, suspended=True, reason="x", actor=Actor("test"), at=timezone.now())
    found += inspect(page, ["/dashboard/"])
    stage.let_in(page, page.server, make_user())  # who belongs nowhere
    assert found + stage.barriers_on(page) == []


def _open_everything(page, *, is_phone: bool) -> list[str]:
    """A form with errors, the menus, and the books of the test mode."""
    page.goto(f"{page.server}/keys/new/")
    page.get_by_role("button", name="Make the key").click()
    found = stage.violations_on(page)
    if is_phone:
        page.get_by_role("button", name="Menu").click()
    page.locator("summary", has_text="Account:").click()
    found += stage.violations_on(page)
    page.keyboard.press("Escape")
    if is_phone and not page.locator("#sidebar").is_visible():
        page.get_by_role("button", name="Menu").click()
    for books in ("Test", "Live"):
        page.locator("#sidebar").get_by_role("button", name=books).click()
        found += stage.violations_on(page)
        if is_phone:
            page.get_by_role("button", name="Menu").click()
    return found

"""Signing up, calling, inviting, trying a prompt, and second factors, in a real browser."""

import os
import re

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import expect

from accounts.directory import forget_keys
from accounts.models import Membership
from accounts.principal import Actor
from accounts.services import add_member
from metering.price_book import forget_price_book
from metering.services.price_book import sync_models
from openrouter.gateway.access import access
from openrouter.models import ProviderAccount
from outbox.models import EmailDelivery
from sandbox.testing import running_sandbox
from tests.accounts.test_second_factor import code_for
from tests.browser import stage
from tests.browser.whole import Whole
from tests.builders import make_user
from tiers.catalogue import MANAGED_CREDITS, load_catalogue
from tiers.querysets import forget_terms

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 1000
LOOKS = [(theme, width) for theme in ("light", "dark") for width in (1280, 390)]


@pytest.fixture(scope="module")
def sandbox():
    with running_sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def whole(django_db_setup):
    server = Whole()
    yield server
    server.stop()


@pytest.fixture
def world(sandbox, settings, db):
    """Tiers, prices and a provider; nobody has been here."""
    for prefix in ("OPENROUTER_", "OPENROUTER_SANDBOX_"):
        setattr(settings, f"{prefix}API_KEY", sandbox.settings.api_key)
        setattr(settings, f"{prefix}MANAGEMENT_KEY", sandbox.settings.management_key)
    settings.OPENROUTER_BASE_URL = settings.OPENROUTER_SANDBOX_URL = sandbox.base_url
    load_catalogue(name=MANAGED_CREDITS, at=timezone.now())
    _, answer, _ = sandbox.call("GET", "/api/v1/models?output_modalities=all")
    sync_models(answer["data"], source="openrouter", at=timezone.now())
    for forget in (forget_price_book, forget_terms, access.clear, forget_keys, cache.clear):
        forget()
    yield
    for forget in (forget_price_book, forget_terms, access.clear, cache.clear):
        forget()


def sign_up(page, server, email="grace@example.com"):
    page.goto(f"{server}/accounts/signup/")
    page.get_by_label("Email").fill(email)
    for field in page.locator("input[type=password]").all():
        field.fill(stage.PASSWORD)
    page.get_by_role("button", name="Create the account").click()


def test_from_signing_up_to_understanding_the_first_call(world, whole, page):
    complaints = stage.complaints_of(page)
    sign_up(page, whole.url)
    page.wait_for_url("**/dashboard/")
    expect(page.locator("[data-figure=balance]")).to_contain_text("$10")
    expect(page.locator("#provider-status")).to_contain_text("Ready", timeout=6 * SECONDS)
    page.get_by_role("link", name="Make a key").click()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Make the key").click()
    command = page.locator("pre").filter(has_text="curl").inner_text()
    secret = page.locator("#secret").inner_text()
    assert secret in command
    model = re.search(r'"model": "([^"]+)"', command)[1]
    answer = page.request.post(
        re.search(r"curl (\S+)", command)[1],
        headers={"Authorization": f"Bearer {secret}"},
        data={"model": model, "messages": [{"role": "user", "content": "Say hello"}]},
    )
    assert answer.ok, answer.text()
    page.goto(f"{whole.url}/dashboard/")
    expect(page.locator("[data-figure=balance]")).not_to_have_text("$10.00")
    page.locator("#recent .row-link").first.click()
    expect(page.get_by_text("Computed again just now: agrees")).to_be_visible()
    expect(page.locator("body")).to_contain_text(model)
    assert complaints == []


def test_the_lab_tells_the_price_runs_and_tells_it_again(world, whole, page):
    complaints = stage.complaints_of(page)
    sign_up(page, whole.url)
    page.wait_for_url("**/dashboard/")
    assert ProviderAccount.objects.filter(status="active").count() == 2
    page.get_by_role("link", name="Prompt lab").first.click()
    page.get_by_label("Prompt", exact=True).fill("[[tokens=60 delay=0.02]] Name three rivers.")
    likely = page.locator("[data-figure=likely]")
    expect(likely).to_be_visible(timeout=4 * SECONDS)
    first = page.locator("#estimate").inner_text()
    page.get_by_label("Longest answer").fill("4000")
    expect(page.locator("#estimate")).not_to_have_text(first, timeout=4 * SECONDS)
    page.get_by_role("button", name="Run").click()
    expect(page.locator("[data-figure=charged]")).to_be_visible(timeout=10 * SECONDS)
    assert page.locator("#answer-text").inner_text().strip()
    expect(page.locator("#outcome")).to_contain_text("was likely")
    assert stage.violations_on(page) == []
    page.get_by_role("link", name="Why it cost that").click()
    expect(page.get_by_text("Computed again just now: agrees")).to_be_visible()
    expect(page.locator("body")).to_contain_text("prompt-lab")
    assert complaints == []


def test_an_invited_colleague_joins_with_a_new_account(world, live_server, new_context):
    stage.furnish()
    boss, guest = new_context().new_page(), new_context().new_page()
    complaints = stage.complaints_of(guest)
    stage.sign_in(boss, live_server.url)
    boss.get_by_role("link", name="Team").first.click()
    boss.get_by_label("E-mail address").fill("grace@example.com")
    boss.get_by_label(re.compile("^Viewer")).check()
    boss.get_by_role("button", name="Send the invitation").click()
    expect(boss.get_by_text("on its way to grace@example.com")).to_be_visible()
    [mail] = EmailDelivery.objects.filter(recipient="grace@example.com")
    path = re.search(r"/invitations/[\w-]+/", mail.body)[0]
    guest.goto(live_server.url + path)
    expect(guest.get_by_role("heading", name="Join Analytical Engines")).to_be_visible()
    assert stage.violations_on(guest) == []
    guest.get_by_role("link", name="Create an account").click()
    assert guest.get_by_label("Email").input_value() == "grace@example.com"
    for field in guest.locator("input[type=password]").all():
        field.fill(stage.PASSWORD)
    guest.get_by_role("button", name="Create the account").click()
    guest.get_by_role("button", name="Join").click()
    expect(guest.get_by_text("Welcome to Analytical Engines")).to_be_visible()
    assert (
        Membership.objects.get(user__email="grace@example.com", organization__name="Analytical Engines").role
        == "viewer"
    )
    guest.goto(f"{live_server.url}/team/")
    expect(guest.get_by_role("button", name="Send the invitation")).to_have_count(0)
    guest.locator("summary", has_text="Organization:").click()
    guest.get_by_role("button", name="grace").click()
    expect(guest.locator("summary", has_text="Organization:")).to_contain_text("grace")
    boss.goto(f"{live_server.url}/team/")
    boss.get_by_role("link", name="grace@example.com").click()
    boss.get_by_role("button", name="Remove").click()
    boss.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(boss.get_by_text("is out; keys bound to them are revoked")).to_be_visible()
    assert complaints == []


@pytest.fixture
def person():
    """A member with a confirmed address."""
    from allauth.account.models import EmailAddress

    cache.clear()
    customer = stage.furnish()
    found = customer.memberships.get().user
    EmailAddress.objects.create(user=found, email=found.email, verified=True, primary=True)
    return found


def confirm(page):
    """Who are you, once more."""
    page.get_by_label("Password").fill(stage.PASSWORD)
    page.get_by_role("button", name="Go on").click()


def sign_out(page, server):
    page.goto(f"{server}/accounts/logout/")
    page.locator("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/login/")


def test_an_authenticator_app_is_set_up_and_asked_for(person, live_server, page):
    complaints = stage.complaints_of(page)
    stage.sign_in(page, live_server.url)
    page.goto(f"{live_server.url}/accounts/2fa/")
    page.get_by_role("link", name="Set up an app").click()
    confirm(page)
    secret = page.locator("[data-secret]").inner_text()
    page.get_by_label("Code").fill(code_for(secret))
    assert stage.violations_on(page) == []
    page.get_by_role("button", name="Turn on").click()
    codes = page.locator("#codes").inner_text().split()
    assert len(codes) == 10
    sign_out(page, live_server.url)
    page.get_by_label("E-mail address").fill(person.email)
    page.get_by_label("Password").fill(stage.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    assert stage.violations_on(page) == []
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/dashboard/")
    assert complaints == []


def test_a_passkey_is_added_and_opens_the_account_alone(person, live_server, page):
    complaints = stage.complaints_of(page)
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    device = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options = {**device, "isUserVerified": True, "automaticPresenceSimulation": True}
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    stage.sign_in(page, live_server.url)
    page.goto(f"{live_server.url}/accounts/2fa/")
    page.get_by_role("link", name="Add a passkey").click()
    confirm(page)
    page.get_by_label("Sign in with it alone").check()
    page.get_by_role("button", name="Add").click()
    page.wait_for_url("**/recovery-codes/")
    page.get_by_role("link", name="I have saved them").click()
    expect(page.get_by_text("1 key", exact=True)).to_be_visible()
    sign_out(page, live_server.url)
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url("**/dashboard/")
    assert complaints == []


@pytest.mark.slow
def test_pages_of_people_and_their_organization_have_no_barrier(person, world, live_server, new_context):
    organization = person.memberships.get().organization
    other = add_member(
        organization_id=organization.id,
        user=make_user(name="Grace Hopper"),
        role="admin",
        actor=Actor("test"),
        at=timezone.now(),
    )
    paths = [
        "/profile/",
        "/accounts/email/",
        "/accounts/2fa/",
        "/accounts/sessions/",
        "/organization/",
        "/team/",
        f"/team/members/{other.id}/",
        "/openrouter/",
        "/lab/",
        f"/keys/{organization.api_keys.filter(revoked_at__isnull=True).first().id}/",
    ]
    found = []
    for theme, width in LOOKS:
        context = new_context(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce")
        page = context.new_page()
        complaints = stage.complaints_of(page)
        stage.sign_in(page, live_server.url)
        for path in paths:
            page.goto(live_server.url + path)
            page.wait_for_load_state("networkidle")
            wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
            found += [f"{path} {theme} {width}: {each}" for each in stage.violations_on(page)]
            found += [f"{path} {width}: scrolls sideways"] if wide else []
            if folder := os.environ.get("SCREENSHOTS"):
                name = path.strip("/").replace("/", "-")[:30]
                page.screenshot(path=f"{folder}/{name}-{theme}-{width}.png", full_page=True)
        found += complaints
        context.close()
    assert found == []

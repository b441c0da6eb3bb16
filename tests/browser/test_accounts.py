"""From signing up to understanding a charge, inviting, trying a prompt, plans and second factors, in a real browser."""

import re

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import expect

from accounts.directory import forget_keys
from accounts.models import Membership
from accounts.principal import Actor
from coupons.services import create_coupon
from coupons.terms import Terms
from metering.price_book import forget_price_book
from metering.services.price_book import sync_models
from openrouter.gateway.access import access
from openrouter.models import ProviderAccount
from outbox.models import EmailDelivery
from sandbox.testing import running_sandbox
from tests.accounts.test_second_factor import code_for
from tests.browser import stage
from tests.browser.whole import Whole
from tests.builders import usd
from tiers.catalogue import MANAGED_CREDITS, load_catalogue
from tiers.querysets import forget_terms

pytestmark = pytest.mark.django_db(transaction=True)


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
    page.get_by_label("E-mail address").fill(email)
    for field in page.locator("input[type=password]").all():
        field.fill(stage.PASSWORD)
    page.get_by_role("button", name="Create the account").click()


def call_as_shown(page, command, secret):
    """What the copied lines do, with the same address, key and model."""
    model = re.search(r'"model": "([^"]+)"', command)[1]
    answer = page.request.post(
        re.search(r"curl (\S+)", command)[1],
        headers={"Authorization": f"Bearer {secret}"},
        data={"model": model, "messages": [{"role": "user", "content": "Say hello"}]},
    )
    assert answer.ok, answer.text()
    return model


def test_from_signing_up_to_understanding_the_first_call(world, whole, new_context):
    """By touch, on a phone."""
    page = new_context(viewport=stage.PHONE, has_touch=True, is_mobile=True).new_page()
    complaints = stage.complaints_of(page)
    sign_up(page, whole.url)
    page.wait_for_url("**/dashboard/")
    expect(page.locator("[data-figure=balance]")).to_contain_text("$10")
    expect(page.locator("#provider-status")).to_contain_text("Ready")
    page.get_by_role("link", name="Make a key").tap()
    page.get_by_label("Name").fill("Laptop")
    page.get_by_role("button", name="Make the key").tap()
    command = page.locator("pre").filter(has_text="curl").inner_text()
    secret = page.locator("#secret").inner_text()
    assert secret in command
    model = call_as_shown(page, command, secret)
    page.locator(".tabbar").get_by_role("link", name="Overview").tap()
    expect(page.locator("[data-figure=balance]")).not_to_have_text("$10.00")
    page.locator("#recent .row-link").first.tap()
    expect(page.get_by_text("Computed again just now: agrees")).to_be_visible()
    expect(page.locator("body")).to_contain_text(model)
    assert complaints == []


class Keyboard:
    """Somebody who has no mouse: goes from one thing to the next, sees where they are, and presses keys."""

    MOST = 80  # steps to anything on a page

    def __init__(self, page):
        self.page = page

    def go_to(self, target):
        """Forwards with Tab until ``target`` has the focus, and shows that it has."""
        for _ in range(self.MOST):
            self.page.keyboard.press("Tab")
            if target.evaluate("element => element === document.activeElement"):
                outline = target.evaluate("element => getComputedStyle(element).outlineStyle")
                assert outline != "none", f"nothing shows that {target} has the focus"
                return
        raise AssertionError(f"{target} is out of the keyboard's reach")

    def skip_to_content(self):
        """The first stop of every page leads past its frame."""
        self.page.keyboard.press("Tab")
        expect(self.page.get_by_role("link", name="Skip to the content")).to_be_focused()
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#main")).to_be_focused()

    def press(self, target, key="Enter"):
        self.go_to(target)
        self.page.keyboard.press(key)

    def type(self, target, text):
        self.go_to(target)
        self.page.keyboard.type(text)

    def enter(self):
        """What leads to another page: the next key is for that one."""
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def follow(self, target):
        self.go_to(target)
        self.enter()


def test_from_signing_up_to_the_explanation_with_the_keyboard_alone(world, whole, new_context):
    page = new_context(viewport=stage.DESK, permissions=["clipboard-read", "clipboard-write"]).new_page()
    complaints, keyboard = stage.complaints_of(page), Keyboard(page)
    page.goto(whole.url)
    keyboard.follow(page.get_by_role("link", name="Create an account"))
    keyboard.type(page.get_by_label("E-mail address"), "grace@example.com")
    for field in page.locator("input[type=password]").all():
        keyboard.type(field, stage.PASSWORD)
    keyboard.enter()
    page.wait_for_url("**/dashboard/")
    expect(page.locator("#provider-status")).to_contain_text("Ready")
    keyboard.skip_to_content()
    keyboard.follow(page.get_by_role("link", name="Make a key"))
    keyboard.skip_to_content()
    keyboard.type(page.get_by_label("Name"), "Laptop")
    keyboard.follow(page.get_by_role("button", name="Make the key"))
    keyboard.press(page.locator("[data-copy=secret]"))
    expect(page.locator("[data-copy=secret]")).to_have_text("Copied")
    command = page.locator("pre").filter(has_text="curl").inner_text()
    call_as_shown(page, command, page.evaluate("navigator.clipboard.readText()"))
    keyboard.follow(page.get_by_role("link", name="I have copied it"))
    keyboard.follow(page.locator("#sidebar").get_by_role("link", name="Overview"))
    expect(page.locator("[data-figure=balance]")).not_to_have_text("$10.00")
    keyboard.skip_to_content()
    keyboard.follow(page.locator("#recent .row-link").first)
    expect(page.get_by_text("Computed again just now: agrees")).to_be_visible()
    keyboard.follow(page.get_by_role("link", name=re.compile(r"^Transaction \d")))
    expect(page.get_by_role("heading", name="Lots it touched")).to_be_visible()
    assert complaints == []


@pytest.mark.parametrize("size", [stage.DESK, stage.PHONE], ids=["desk", "phone"])
def test_the_lab_tells_the_price_runs_and_tells_it_again(world, whole, new_context, size):
    page = new_context(viewport=size).new_page()
    complaints = stage.complaints_of(page)
    sign_up(page, whole.url)
    page.wait_for_url("**/dashboard/")
    assert ProviderAccount.objects.filter(status="active").count() == 2
    page.locator(".tabbar, .sidebar").get_by_role("link", name="Prompt lab").locator("visible=true").click()
    page.get_by_label("Prompt", exact=True).fill("[[tokens=60 delay=0.02]] Name three rivers.")
    likely = page.locator("[data-figure=likely]")
    expect(likely).to_be_visible()
    first = page.locator("#estimate").inner_text()
    page.get_by_label("Longest answer").fill("4000")
    expect(page.locator("#estimate")).not_to_have_text(first)
    page.get_by_role("button", name="Run").click()
    expect(page.locator("[data-figure=charged]")).to_be_visible()
    assert page.locator("#answer-text").inner_text().strip()
    expect(page.locator("#outcome")).to_contain_text("was likely")
    assert stage.violations_on(page) == []
    page.get_by_role("link", name="Why it cost that").click()
    expect(page.get_by_text("Computed again just now: agrees")).to_be_visible()
    expect(page.locator("body")).to_contain_text("prompt-lab")
    assert complaints == []


def test_a_session_that_ends_while_a_prompt_runs_loses_neither_answer_nor_words(world, whole, page):
    sign_up(page, whole.url)
    page.wait_for_url("**/dashboard/")
    page.goto(f"{whole.url}/lab/")
    page.get_by_label("Prompt", exact=True).fill("[[tokens=40 delay=0.15]] Name three rivers.")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#answer-text")).not_to_be_empty()
    page.context.clear_cookies(name="sessionid")
    expect(page.locator("#outcome")).to_contain_text("You are signed out")
    assert page.locator("#outcome").get_by_role("link", name="Sign in").get_attribute("href").endswith("?next=/lab/")
    expect(page.locator(".toast")).to_contain_text("Copy what you have typed")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#failure")).to_contain_text("nothing was called")
    assert page.get_by_label("Prompt", exact=True).input_value().endswith("Name three rivers.")
    assert page.locator("#outcome form").count() == 0  # no login form in the place of figures


def test_an_invited_colleague_joins_with_a_new_account_both_on_phones(world, live_server, new_context):
    stage.furnish()
    boss, guest = (new_context(viewport=stage.PHONE).new_page() for _ in range(2))
    complaints = stage.complaints_of(guest)
    stage.sign_in(boss, live_server.url)
    boss.get_by_role("button", name="Menu").click()
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
    assert guest.get_by_label("E-mail address").input_value() == "grace@example.com"
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
    guest.get_by_role("button", name="Menu").click()
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


def open_page(page, name):
    """By the navigation: beside the page on a desk, behind the menu on a phone."""
    if not page.locator("#sidebar").is_visible():
        page.get_by_role("button", name="Menu").click()
    page.locator("#sidebar").get_by_role("link", name=name).click()


@pytest.mark.parametrize("size", [stage.DESK, stage.PHONE], ids=["desk", "phone"])
def test_a_coupon_a_switch_with_its_preview_and_an_own_key(world, whole, settings, sandbox, new_context, size):
    settings.PAYMENT_PROVIDER, settings.PUBLIC_URL = "sandbox", whole.url
    terms = Terms(kind="bonus", amount=usd("7.50"))
    create_coupon(code="WELCOME", terms=terms, actor=Actor("test"), at=timezone.now())
    page = new_context(viewport=size).new_page()
    complaints = stage.complaints_of(page)
    sign_up(page, whole.url)
    page.wait_for_url("**/dashboard/")

    open_page(page, "Coupons")
    page.get_by_label("Coupon code").fill("welcome")
    page.get_by_role("button", name="See what it gives").click()
    expect(page.get_by_role("status").filter(has_text="WELCOME")).to_contain_text("$7.50")
    page.get_by_role("button", name="Redeem").click()
    expect(page.get_by_text("WELCOME is redeemed")).to_be_visible()
    expect(page.get_by_role("link", name="+$7.50")).to_be_visible()

    open_page(page, "OpenRouter")
    expect(page.get_by_text("Your plan does not include own keys")).to_be_visible()
    page.get_by_role("link", name="See the plans").click()
    page.get_by_role("button", name=re.compile("Use your own key.*Professional")).click()
    expect(page.get_by_text("Nothing has changed yet")).to_be_visible()
    page.get_by_role("button", name="Pay $50.00 and switch").click()
    page.wait_for_url("**/checkout/test/**")
    page.get_by_role("button", name="Pay $50.00").click()
    page.wait_for_url("**/payments/*/?returned=1")
    open_page(page, "Plan")
    expect(page.get_by_role("heading", name="Professional own key")).to_be_visible()

    open_page(page, "OpenRouter")
    page.get_by_label("OpenRouter key").fill("sk-or-v1-not-a-key")
    page.get_by_role("button", name="Check and use it").click()
    expect(page.get_by_text("In use")).to_have_count(0)
    page.get_by_label("OpenRouter key").fill(sandbox.settings.customer_key)
    page.get_by_role("button", name="Check and use it").click()
    expect(page.get_by_text("In use")).to_be_visible()
    assert [each for each in complaints if "422" not in each] == []  # the answer to a key that is none

"""Pictures for the documentation, of a running ``./run`` with its demo data:

python -m tests.browser.screenshots [http://127.0.0.1:8000] [var/demo.json]
"""

import base64
import json
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tools.launcher.testing import find_browser

FOLDER = Path(__file__).parents[2] / "docs/screenshots"
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


def main(server: str = "http://127.0.0.1:8000", note: str = "var/demo.json") -> None:
    demo = json.loads(Path(note).read_text(encoding="utf-8"))
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        visitor(browser, server)
        member(browser, server, demo["users"][0], "light", DESK, "")
        member(browser, server, demo["users"][0], "dark", DESK, "-dark")
        member(browser, server, demo["users"][0], "light", PHONE, "-phone")
        guide(browser, server, demo["users"][0])
        other_looks(browser, server, demo["users"][0])
        large(browser, server, next(each for each in demo["users"] if each["organization"] == "Kestrel Audio"))
        operator(browser, server, demo["operator"])
        browser.close()


def visitor(browser: Browser, server: str) -> None:
    page = open_page(browser, "light", DESK)
    page.goto(server)
    shoot(page, "front")
    page.goto(f"{server}/accounts/login/")
    shoot(page, "login")


def member(browser: Browser, server: str, person: dict, theme: str, size: dict, suffix: str) -> None:
    page = open_page(browser, theme, size)
    sign_in(page, server, person)
    shoot(page, f"overview{suffix}")
    page.goto(f"{server}/usage/events/?model=claude")
    page.locator(".row-link").first.click()
    shoot(page, f"charge{suffix}", whole=True)
    if suffix != "-dark":
        for name in ("usage", "transactions", "keys"):
            page.goto(f"{server}/{name}/")
            shoot(page, f"{name}{suffix}")


# Pictures of the user guide, by name: the page, and the first of what it lists where that is meant.
FIRST = ".row-link"
GUIDE = {
    "overview": "/dashboard/",
    "usage": "/usage/",
    "model": "/models/anthropic/claude-sonnet-4.5/",
    "events": "/usage/events/",
    "charge": ("/usage/events/?model=claude", FIRST),
    "models": "/models/?sort=context",
    "estimates": "/estimates/",
    "what-if": ("/what-if/", FIRST),
    "budgets": "/budgets/",
    "budget": ("/budgets/", FIRST),
    "transactions": "/transactions/",
    "plan": "/plan/",
    "switch": "/plan/switch/?tier=enterprise&option=managed",
    "statement": "/credits/statements/current/",
    "payments": "/payments/",
    "coupons": "/coupons/",
    "keys": "/keys/",
    "team": "/team/",
    "openrouter": "/openrouter/",
    "webhooks": "/webhooks/",
    "profile": "/profile/",
    "emails-of-person": "/accounts/email/",
    "security": "/accounts/2fa/",
    "sessions": "/accounts/sessions/",
    "notifications": "/notifications/",
    "emails": "/notifications/settings/",
}
# The same of a company whose plan has everything.
LARGE = {
    "teams": "/teams/",
    "team-dashboard": ("/teams/", FIRST),
    "reports": "/reports/",
    "report": ("/reports/", FIRST),
}


def guide(browser: Browser, server: str, person: dict) -> None:
    page = open_page(browser, "light", DESK)
    sign_in(page, server, person)
    visit(page, server, GUIDE)
    page.goto(f"{server}/lab/")
    page.get_by_label("Prompt", exact=True).fill("Name three rivers of Portugal, with one sentence about each.")
    page.locator("[data-figure=likely]").wait_for()
    page.get_by_role("button", name="Run").click()
    page.locator("[data-figure=charged]").wait_for()
    shoot_small(page, "lab", height=1240)
    page.goto(f"{server}/accounts/2fa/totp/activate/")
    page.get_by_label("Password").fill(person["password"])
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Code").wait_for()
    shoot_small(page, "totp")


def large(browser: Browser, server: str, person: dict) -> None:
    """Teams, reports, and advice that a language model wrote from the company's figures."""
    page = open_page(browser, "light", DESK)
    sign_in(page, server, person)
    visit(page, server, LARGE)
    page.goto(f"{server}/recommendations/")
    if (ask := page.get_by_role("button", name="Ask for advice")).is_visible():
        ask.click()
    page.locator("#written-advice details").wait_for()
    page.goto(f"{server}/recommendations/")  # without the word that it is being written
    shoot_small(page, "recommendations", height=1240)


def other_looks(browser: Browser, server: str, person: dict) -> None:
    """Two pages in the dark, and on a phone."""
    for name, path, theme, size in (
        ("usage-dark", "/usage/", "dark", DESK),
        ("usage-phone", "/usage/", "light", PHONE),
        ("overview-phone", "/dashboard/", "light", PHONE),
    ):
        page = open_page(browser, theme, size)
        sign_in(page, server, person)
        page.goto(server + path)
        shoot_small(page, name, **size)


def visit(page: Page, server: str, pages: dict) -> None:
    for name, asked in pages.items():
        path, link = asked if isinstance(asked, tuple) else (asked, None)
        page.goto(server + path)
        if link:
            page.locator(f"main {link}").first.click()
            page.wait_for_load_state()
        shoot_small(page, name)


def operator(browser: Browser, server: str, person: dict) -> None:
    page = open_page(browser, "light", DESK)
    sign_in(page, server, person)
    page.goto(f"{server}/admin/")
    shoot(page, "back-office")
    page.goto(f"{server}/admin/outbox/taskstate/")
    shoot(page, "back-office-jobs")
    page.goto(f"{server}/admin/accounts/organization/?q=Lumen&mode__exact=live")
    page.locator("#result_list tbody a").first.click()
    page.get_by_role("link", name="Timeline").click()
    shoot(page, "back-office-organization")
    send_file(page, server)
    shoot(page, "back-office-bulk")
    page.goto(f"{server}/admin/credits/creditaccount/?q=Lumen")
    page.locator("#result_list tbody a").first.click()
    page.get_by_role("link", name="Deduct credit").click()
    page.get_by_label("Amount").fill("1.25")
    page.get_by_label("Reason").fill("Duplicate purchase")
    page.get_by_role("button", name="Preview").click()
    shoot(page, "back-office-preview")


def send_file(page: Page, server: str) -> None:
    """A file with a line that cannot be carried out, checked and never confirmed."""
    lines = ["Lumen Support,grant,25.00,bonus,", "Northwind Research,grant,10,bonus,2099-01-01", "Nobody,deduct,1,,"]
    content = "\n".join(["organization,action,amount,kind,expires_at", *lines])
    page.goto(f"{server}/admin/credits/movementbatch/add/")
    page.get_by_label("Name").fill("goodwill-november")
    page.get_by_label("Reason").fill("Apology for the outage of Tuesday")
    page.get_by_label("CSV file").set_input_files(
        {"name": "goodwill.csv", "mimeType": "text/csv", "buffer": content.encode()}
    )
    page.get_by_role("button", name="Check the file").click()


def open_page(browser: Browser, theme: str, size: dict) -> Page:
    context = browser.new_context(viewport=size, color_scheme=theme, timezone_id="Europe/Lisbon", locale="en-US")
    return context.new_page()


def sign_in(page: Page, server: str, person: dict) -> None:
    page.goto(f"{server}/accounts/login/")
    page.get_by_label("E-mail address").fill(person["email"])
    page.get_by_label("Password").fill(person["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state("networkidle")


def shoot(page: Page, name: str, whole: bool = False) -> None:
    size = page.viewport_size
    if whole:  # as on a screen that is high enough: what stands at its bottom does not cover the middle of the page
        page.set_viewport_size({**size, "height": page.evaluate("document.documentElement.scrollHeight")})
    page.wait_for_timeout(600)
    page.screenshot(path=FOLDER / f"{name}.png")
    page.set_viewport_size(size)


def shoot_small(page: Page, name: str, height: int = DESK["height"], width: int = DESK["width"]) -> None:
    """As WebP, a third of the size."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(600)
    taken = page.context.new_cdp_session(page).send("Page.captureScreenshot", {"format": "webp", "quality": 88})
    (FOLDER / f"guide-{name}.webp").write_bytes(base64.b64decode(taken["data"]))
    page.set_viewport_size(DESK)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A furnished organization and a signed-in reader of its pages."""

from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from accounts.models import Organization, User
from accounts.principal import Actor
from accounts.services import revoke_api_key
from credits.services import HoldRequest, deduct_credits, grant_credits, place_hold, refund_charge
from tests.builders import make_call, make_customer, make_key, make_user, usd
from tests.builders import sign_in as client_of
from tiers.catalogue import MANAGED_CREDITS, load_catalogue

PASSWORD = "correct horse battery"  # of every person on the stage
AXE = Path(__file__).parent / "vendor/axe-core-4.14.1.min.js"


def furnish() -> Organization:
    """An organization with some of everything that a page can show."""
    now = timezone.now()
    load_catalogue(name=MANAGED_CREDITS, at=now)
    customer = make_customer(owner=make_user(email="ada@example.com", password=PASSWORD), name="Analytical Engines")
    grant(customer, "20", kind="allocated", expires_at=now + timedelta(days=12))
    grant(customer, "15", kind="purchased")
    make_key(customer, at=now - timedelta(days=3), scopes=("gateway",), spend_limit=usd("5"))
    old, _ = make_key(customer, at=now - timedelta(days=3))
    revoke_api_key(key_id=old.id, organization_id=customer.id, actor=Actor("test"), at=now)
    for days in range(9, 0, -1):
        at = now - timedelta(days=days)
        call(customer, "0.25", occurred_at=at, model="anthropic/claude-sonnet-4.5")
        call(customer, "0.0000123", occurred_at=at, status="cancelled")
    call(customer, "0", status="error")
    failed = call(customer, "0.4")
    refund_charge(organization_id=customer.id, entry_id=failed.entry_id, reason="Outage", actor="operator", at=now)
    deduct_credits(organization_id=customer.id, amount=usd("1"), reason="Workshop", actor="operator", at=now)
    held = place_hold(HoldRequest(customer.id, usd("2"), "a", now + timedelta(hours=1)), at=now)
    call(customer, "0.7", hold_id=held.hold_id, tags={"feature": "search"})
    place_hold(HoldRequest(customer.id, usd("0.5"), "b", now + timedelta(hours=1)), at=now)
    return customer


def grant(organization: Organization, amount: str, **fields) -> None:
    fields = {"kind": "bonus", "reason": "Hello", "actor": "operator@example.com", "at": timezone.now(), **fields}
    grant_credits(organization_id=organization.id, amount=usd(amount), **fields)


def call(organization: Organization, cost: str, **fields):
    return make_call(organization, cost, **{"occurred_at": timezone.now(), **fields})


def sign_in(page, server: str, email: str = "ada@example.com") -> None:
    """Through the form, as people do."""
    page.goto(f"{server}/accounts/login/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/dashboard/")


def complaints_of(page) -> list[str]:
    """Collects what the browser complains of from now on: refused by the content policy, broken scripts."""
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def open_to_axe(new_context, **options):
    """A page in a context of its own on which axe is there from the start."""
    context = new_context(viewport=DESK, color_scheme="light", reduced_motion="reduce", **options)
    context.add_init_script(path=AXE)
    return context.new_page()


def let_in(page, server: str, person: User) -> None:
    """Signed in without the form, for tests that are about something else."""
    cookie = client_of(person).cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": server}])
    page.goto(f"{server}/dashboard/")


def violations_on(page, rules: tuple[str, ...] = ()) -> list[str]:
    """What axe finds against WCAG 2.2 AA and best practice (or against ``rules`` alone), one line each."""
    return _seen_on(page, rules)["violations"]


def _seen_on(page, rules: tuple[str, ...]) -> dict:
    """What axe finds, and whether the page is wider than the screen: one question, for there are hundreds."""
    # Nothing is preloaded: no rule that is on reads style sheets, and the content policy forbids axe to.
    options = {"resultTypes": ["violations"], "preload": False, **({"runOnly": list(rules)} if rules else {})}
    if (seen := page.evaluate(_LOOK, options)) is None:
        page.evaluate(AXE.read_text(encoding="utf-8"))
        seen = page.evaluate(_LOOK, options)
    return seen


# What is drawn has the colours that were asked for after two frames.
_LOOK = """async options => {
    if (!window.axe) return null;
    await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    const found = await axe.run(document, options), root = document.documentElement;
    const violations = found.violations.flatMap(each => each.nodes.map(node =>
        `${each.id} (${each.impact}): ${node.html.slice(0, 160)} ${(node.failureSummary || "").slice(0, 200)}`));
    return {violations, wide: root.scrollWidth > root.clientWidth};
}"""
# What depends on how large things are drawn; everything else is read off the document, the same at any width.
_BY_LAYOUT = ("scrollable-region-focusable", "target-size")
_BY_COLOUR = ("color-contrast", "link-in-text-block")
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 900}


LOOKS = [(DESK, "light"), (DESK, "dark"), (PHONE, "light")]
ALL_LOOKS, ONE_LOOK = [*LOOKS, (PHONE, "dark")], LOOKS[:1]


def barriers_on(page, *, looks=LOOKS, whole: bool = False) -> list[str]:
    """What stands in the way on this page, in both themes, on a desk and on a phone: one load serves all looks.

    The document is read once, in the first look; the others check what they can change. ``whole``: everything on a
    phone too, whose frame shows other parts; it is the same on every page.
    """
    found, before = [], "light"
    for size, theme in ALL_LOOKS if whole else looks:
        _draw(page, size, theme, before)
        reads_all = theme == "light" and (size is DESK or whole)
        seen = _seen_on(page, () if reads_all else _BY_COLOUR if theme == "dark" else _BY_LAYOUT)
        found += [f"{theme}, {size['width']}: {each}" for each in seen["violations"]]
        if seen["wide"]:
            found.append(f"scrolls sideways at {size['width']}")
        before = theme
    _draw(page, DESK, "light", before)
    return found


def _draw(page, size: dict, theme: str, before: str) -> None:
    """Anew in another size or theme than the one ``before``."""
    if page.viewport_size != size:
        page.set_viewport_size(size)
    if theme != before:
        page.emulate_media(color_scheme=theme)

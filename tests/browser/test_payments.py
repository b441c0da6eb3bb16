"""Paying in a real browser: every page without a barrier, the whole way also without scripts."""

import pytest
from django.utils import timezone

from payments.models import Payment
from payments.services import add_discount, open_checkout, open_saving, set_auto_top_up
from tests.browser import stage
from tests.builders import usd
from tests.payments.building import ask_for, balance_of, with_card

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

LOOKS = [(theme, width) for theme in ("light", "dark") for width in (1280, 390)]


@pytest.fixture
def customer(settings, live_server):
    settings.PAYMENT_PROVIDER = "sandbox"
    settings.PUBLIC_URL = live_server.url
    return stage.furnish()


def furnish(customer) -> list[str]:
    """Payments in every state; the addresses of all pages about them."""
    now = timezone.now()
    with_card(customer, "test_card_later")
    with_card(customer)
    set_auto_top_up(
        organization_id=customer.id,
        threshold=usd("5"),
        amount=usd("25"),
        monthly_cap=usd("100"),
        actor="ada@example.com",
        at=now,
    )
    add_discount(
        organization_id=customer.id, percent=usd("20"), applies_to="any", uses=1, key="c", source="EARLYBIRD", at=now
    )
    payments = [ask_for(customer, "25", at=now, actor="ada@example.com") for _ in range(6)]
    for payment, status in zip(payments, ("succeeded", "failed", "canceled", "refunded", "processing"), strict=False):
        Payment.objects.filter(pk=payment.pk).update(
            status=status, paid_at=now, failure_message="The card was declined."
        )
    terms = {"subject": {"description": "Professional, 2 March to 2 April"}, "credits": "50", "collection": "automatic"}
    owed = ask_for(customer, "50", at=now, purpose="overage", **terms)
    Payment.objects.filter(pk=owed.pk).update(failure_code="card_declined", failure_message="The card was declined.")
    page = open_checkout(payment_id=payments[-1].pk, at=now)
    return [
        "/payments/",
        "/payments/buy/",
        "/payments/buy/?credits=50",
        *(f"/payments/{payment.pk}/" for payment in (*payments, owed)),
        page.checkout_url,
        open_saving(organization_id=customer.id),
    ]


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_no_page_of_payments_has_a_barrier(new_context, live_server, customer, theme, width):
    addresses = furnish(customer)
    context = new_context(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce")
    page = context.new_page()
    complaints = stage.complaints_of(page)
    stage.sign_in(page, live_server.url)
    found = []
    for address in addresses:
        page.goto(address if address.startswith("http") else live_server.url + address)
        page.wait_for_load_state("load")
        found += [f"{address}: {each}" for each in stage.violations_on(page)]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{address}: scrolls sideways")
    assert (found, complaints) == ([], [])


@pytest.mark.parametrize("scripts", [True, False])
def test_credit_is_bought_with_and_without_scripts(new_context, live_server, customer, scripts):
    before = balance_of(customer)
    page = new_context(java_script_enabled=scripts).new_page()
    complaints = stage.complaints_of(page)
    stage.sign_in(page, live_server.url)
    page.get_by_role("link", name="Payments").first.click()
    page.get_by_role("link", name="Buy credit").first.click()
    page.get_by_role("link", name="$50").click()
    page.get_by_role("button", name="Continue").click()
    page.wait_for_url("**/checkout/test/**")
    page.get_by_role("button", name="Be declined").click()
    assert page.get_by_role("alert").inner_text() == "The test card was declined."
    page.get_by_role("button", name="Pay $50.00").click()
    page.wait_for_url("**/payments/*/?returned=1")
    assert page.get_by_text("of credit is yours").is_visible()
    assert balance_of(customer) == before + 50
    assert complaints == []

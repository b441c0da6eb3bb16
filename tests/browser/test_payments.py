"""Paying in a real browser, with and without scripts."""

import pytest

from tests.browser import stage
from tests.payments.building import balance_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def customer(settings, live_server):
    settings.PAYMENT_PROVIDER = "sandbox"
    settings.PUBLIC_URL = live_server.url
    return stage.furnish()


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

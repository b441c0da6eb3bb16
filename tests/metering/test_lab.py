"""The prompt lab's pages: which models, the estimate while somebody types, refusals in words."""

import pytest
from django.conf import settings

from accounts.models import Membership
from tests.builders import make_customer, make_user, sign_in
from tests.metering.reporting import make_model, make_reporter

pytestmark = pytest.mark.django_db
DRAFT = {"model": "openai/gpt-4o-mini", "prompt": "Say hello", "system": "", "max_tokens": "100"}


def browser(**tier):
    customer = make_reporter("10", **tier)
    person = make_user()
    Membership.objects.create(organization=customer, user=person, role="member")
    return sign_in(person)


def test_the_picker_has_the_models_of_the_tier_with_their_prices():
    make_model("openai/gpt-4o-mini", prompt="0.00000015", completion="0.0000006")
    make_model("gratis/one:free", prompt="0", completion="0", is_free=True)
    make_model("openai/embedding", prompt="0.00000002", completion="0")
    make_model("openai/auto", prompt="-1", completion="-1")
    text = browser().get("/lab/").content.decode()
    assert "$0.15 in, $0.60 out" in text and "gratis/one:free" in text
    assert "openai/embedding" not in text and "openai/auto" not in text
    text = browser(model_access="free").get("/lab/").content.decode()
    assert "gratis/one:free" in text and "openai/gpt-4o-mini" not in text


def test_the_estimate_follows_what_is_typed():
    make_model("openai/gpt-4o-mini")
    make_model("cheap/one", prompt="0.0000001", completion="0.0000002")
    page = browser()
    text = page.post("/lab/estimate/", DRAFT).content.decode()
    assert 'data-figure="likely"' in text and "cheap/one" in text and "saves" in text
    assert "Tokens and cost appear here" in page.post("/lab/estimate/", {**DRAFT, "prompt": ""}).content.decode()
    assert "Longest answer" in page.post("/lab/estimate/", {**DRAFT, "max_tokens": "0"}).content.decode()


def test_without_scripts_the_form_answers_with_the_whole_page():
    make_model("openai/gpt-4o-mini")
    text = browser().post("/lab/", {**DRAFT, "prompt": "<script>alert(1)</script>"}).content.decode()
    assert 'data-figure="likely"' in text and "&lt;script&gt;alert(1)" in text and "<script>alert(1)" not in text


def test_a_model_outside_the_tier_leads_to_the_plans():
    make_model("openai/gpt-4o-mini")
    make_model("gratis/one:free", prompt="0", completion="0", is_free=True)
    text = browser(model_access="free").post("/lab/estimate/", DRAFT).content.decode()
    assert "does not include the model" in text and "/plan/" in text


def test_an_organization_without_a_model_is_told_so():
    customer = make_customer(owner=make_user())
    assert "No model to try" in sign_in(customer.memberships.get().user).get("/lab/").content.decode()


def test_a_browser_that_proves_itself_by_its_header_is_answered_by_the_api():
    """The body reaches the view as it came, whatever looks for the token before it."""
    make_model("openai/gpt-4o-mini")
    page = browser()
    page.handler.enforce_csrf_checks = True
    page.get("/lab/")
    call = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello"}]}
    event = {"kind": "custom", "name": "thing", "external_id": "a"}
    proof = {"X-CSRFToken": page.cookies[settings.CSRF_COOKIE_NAME].value}
    for path, body, headers in (
        ("metering/estimate", call, {}),
        ("metering/track", event, {}),
        ("metering/track", event, {"Idempotency-Key": "once"}),
    ):
        asked = {"data": body, "content_type": "application/json"}
        assert page.post(f"/api/v1/{path}", **asked, headers=headers).status_code == 403, path
        answer = page.post(f"/api/v1/{path}", **asked, headers={**headers, **proof})
        assert answer.status_code in (200, 201, 403) and b"CSRF" not in answer.content, (path, answer.content)
    form = {"data": {"model": "x"}, "headers": proof}
    assert page.post("/api/v1/metering/estimate", **form).status_code in (400, 415)

"""The API's documentation in a real browser: complete, from our own files, within the content policy."""

import pytest

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_operations_are_shown_without_a_foreign_request_or_a_refused_resource(page, live_server):
    wrong, hosts = [], set()
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "//" in request.url else "inline"))
    page.goto(f"{live_server.url}/api/docs/")
    page.click("#operations-tag-credits")
    page.click("#operations-credits-credits_deduct")
    page.wait_for_selector("text=Idempotency-Key")
    page.wait_for_selector("text=insufficient_credits")
    assert hosts <= {live_server.url.split("/")[2], "inline"}
    assert wrong == []


def test_the_errors_are_explained_where_problems_point_to(page, live_server):
    page.goto(f"{live_server.url}/api/docs/errors/#insufficient_credits")
    assert page.locator("#insufficient_credits").is_visible()
    assert page.locator("h1").inner_text() == "API errors"

"""Every page of the URL table asks the database as much for many rows as for a few."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.principal import Actor
from accounts.services import add_member, create_team, fill_team, invite
from accounts.services.invitations import Inviter
from advice.services import start_what_if
from advice.what_if.change import Change
from advice.what_if.reading import Asked
from coupons.services import create_coupon, redeem_coupon
from coupons.terms import Terms
from metering.services import BudgetTerms, create_budget, record_usage
from outbox.webhooks.services import Wish, create_endpoint
from reports.services import subscribe as subscribe_to_report
from reports.services import write_due_reports
from tests.api import belongings
from tests.api.routes import all_routes
from tests.browser import stage
from tests.builders import make_key, make_record, make_user, sign_in
from tests.payments.building import ask_for
from tiers.services import subscribe

pytestmark = pytest.mark.django_db

ME = Actor("test")
FEW, MORE = 2, 4  # of each kind of row beside the first; plurals are reached, page sizes and caps are not


def test_no_page_asks_more_for_more_rows(settings):
    settings.PAYMENT_PROVIDER = "sandbox"
    cache.clear()
    customer = stage.furnish()
    subscribe(organization_id=customer.id, tier_slug="enterprise", at=timezone.now())
    belongings.furnish(customer)
    add_rows(customer, range(FEW))
    browser = sign_in(customer.memberships.get(role="owner").user)
    pages = [path for path in paths() if browser.get(path).status_code == 200]
    assert len(pages) > 25
    few = {path: asked(browser, path) for path in pages}
    add_rows(customer, range(FEW, FEW + MORE))
    many = {path: asked(browser, path) for path in pages}
    grown = {path: (few[path], many[path]) for path in pages if many[path] - few[path] >= MORE}
    assert grown == {}


def paths() -> Iterator[str]:
    for route in all_routes():
        if not route.is_api and not route.parameters and "docs" not in route.pattern and "schema" not in route.pattern:
            yield route.path("")


def asked(browser: Client, path: str) -> int:
    """How many queries; one or two are of what is remembered for a second, as the tier's terms are."""
    browser.get(path)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        browser.get(path)
    return len(queries)


def add_rows(customer, numbers: range) -> None:
    now = timezone.now()
    for number in numbers:
        who = {"organization_id": customer.id, "actor": ME, "at": now}
        member = add_member(user=make_user(name=f"Member {number}"), role="member", **who)
        address = f"guest{number}@example.com"
        invite(organization_id=customer.id, email=address, role="viewer", by=Inviter(ME), at=now)
        key, _secret = make_key(customer, at=now, member=member)
        team = create_team(name=f"Team {number}", **who)
        fill_team(team_id=team.id, member_ids=[member.id], key_ids=[], **who)
        for scope, subject in (("api_key", str(key.id)), ("team", str(team.id)), ("member", str(member.id))):
            terms = BudgetTerms(
                name=f"{scope} {number}", period="monthly", amount=Decimal(50), scope=scope, subject=subject
            )
            create_budget(organization_id=customer.id, terms=terms, actor=ME, at=now)
        wanted = subscribe_to_report(cadence="monthly", format="csv", member_ids=[member.id], team_id=team.id, **who)
        write_due_reports(at=wanted.next_at)
        ask_for(customer, "10", at=now)
        create_endpoint(wish=Wish(url=f"https://example.com/{number}", events=["credits.granted"]), **who)
        bonus = Terms(kind="bonus", amount=Decimal(1))
        create_coupon(code=f"MORE-{number}", terms=bonus, actor=ME, at=now, mode=customer.mode)
        redeem_coupon(organization_id=customer.id, code=f"MORE-{number}", actor=ME, at=now)
        used = {"member_id": member.id, "api_key_id": key.id, "tags": {"feature": f"f{number}"}}
        record_usage([make_record(customer, "0.5", name=f"thing {number}", occurred_at=now, **used)], at=now)
        days, change = Asked(now - timedelta(days=1), now, {}), Change(markup_percent=Decimal(number + 1))
        start_what_if(organization_id=customer.id, asked=days, change=change, requested_by="test", at=now)

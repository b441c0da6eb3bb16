"""A member's browser calls the gateway with a ticket: same path, same books, and nothing that a key could not do."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import Organization
from accounts.page_tickets import LIFETIME, issue_ticket
from accounts.principal import Actor
from accounts.services import add_member, change_role, remove_member
from tests.builders import make_user, sign_in
from tests.openrouter.gateway.serving import Client

pytestmark = pytest.mark.django_db
BODY = {"model": "sandbox/chat", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50}


@pytest.fixture
def buyer(customer):
    return customer()


@pytest.fixture
def member(buyer):
    return add_member(
        organization_id=buyer.organization.id, user=make_user(), role="member", actor=Actor("test"), at=timezone.now()
    )


def call(buyer, ticket, path="/chat/completions", body=BODY):
    return Client(buyer.port, ticket).request("POST", path, body)


def test_a_run_is_a_call_like_any_other_and_is_the_members(buyer, member):
    ticket = issue_ticket(organization=buyer.organization, membership=member)
    answer = call(buyer, ticket)
    assert answer.status == 200, answer.body
    event = buyer.event
    assert (event.member_id, event.api_key_id, event.charge) == (member.id, None, answer.charge)
    [charge] = buyer.charges
    assert charge.amount == -event.charge and buyer.holds[0].status == "settled"


def test_it_ends_with_its_minute_with_the_role_and_with_the_membership(buyer, member):
    ticket = issue_ticket(organization=buyer.organization, membership=member)
    with time_machine.travel(timezone.now() - timedelta(seconds=LIFETIME + 5), tick=True):
        old = issue_ticket(organization=buyer.organization, membership=member)
    assert call(buyer, old).status == 401
    change = {"organization_id": buyer.organization.id, "actor": Actor("test"), "at": timezone.now()}
    change_role(membership_id=member.id, role="viewer", **change)
    refused = call(buyer, ticket)
    assert (refused.status, refused.error["type"]) == (403, "insufficient_scope")
    remove_member(membership_id=member.id, **change)
    assert call(buyer, ticket).status == 401
    assert buyer.events == []


def test_it_is_for_one_organization_and_its_twin_and_stops_when_suspended(buyer, member, customer):
    other = customer()
    assert call(buyer, issue_ticket(organization=other.organization, membership=member)).status == 401
    twin = issue_ticket(organization=buyer.organization.test_twin, membership=member)
    assert call(buyer, twin).status != 401
    Organization.objects.filter(id=buyer.organization.id).update(is_suspended=True)
    assert call(buyer, issue_ticket(organization=buyer.organization, membership=member)).status == 403


@pytest.mark.parametrize("forged", ["fbx_page_", "fbx_page_x", "fbx_page_a.b:c:d", "fbx_page_" + "x" * 5000])
def test_a_forged_ticket_is_refused(buyer, forged):
    assert call(buyer, forged).status == 401


def test_a_ticket_opens_calls_only(buyer, member):
    ticket = issue_ticket(organization=buyer.organization, membership=member)
    for path in ("/key", "/credits", "/generation?id=x"):
        assert Client(buyer.port, ticket).request("GET", path).status == 401, path
    page = sign_in(member.user)
    assert page.get("/api/v1/organization", headers={"authorization": f"Bearer {ticket}"}).status_code == 401


def test_the_page_hands_tickets_to_those_who_may_call(buyer, member):
    page = sign_in(member.user)
    ticket = page.post("/lab/ticket/").json()["ticket"]
    answer = call(buyer, ticket)
    assert answer.status == 200
    told = page.get(f"/lab/calls/{buyer.event.id}/", {"likely": "0.5", "worst": "<script>"})
    assert told.status_code == 200 and "0.50" in told.content.decode() and "<script>" not in told.content.decode()
    assert page.get("/lab/ticket/").status_code == 405
    viewer = make_user()
    add_member(
        organization_id=buyer.organization.id, user=viewer, role="viewer", actor=Actor("test"), at=timezone.now()
    )
    assert sign_in(viewer).post("/lab/ticket/").status_code == 403
    client = sign_in(member.user)
    client.handler.enforce_csrf_checks = True
    assert client.post("/lab/ticket/").status_code == 403

"""Operators look as a member: what the member sees, at one organization, for a reason and an hour; nothing changes."""

from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.errors import CannotImpersonate
from accounts.impersonation import SESSION_KEY
from accounts.models import Impersonation, Membership, Role
from accounts.principal import Actor
from accounts.services import add_member, end_impersonation, start_impersonation
from accounts.services.organizations import set_suspended
from config.roles import SUPPORT, apply_rules
from core.errors import InvalidRequest
from outbox.models import DomainEvent
from outbox.notices.models import Notice, NoticeReader
from tests.builders import NOON, make_customer, make_user, sign_in

pytestmark = pytest.mark.django_db

END = "/impersonation/end/"


@pytest.fixture
def operator():
    from django.contrib.auth.models import Group

    apply_rules()
    made = make_user(email="support@farebox.example", is_staff=True)
    made.groups.add(Group.objects.get(name=SUPPORT))
    return made


@pytest.fixture
def vera():
    return make_user(email="vera@lantern.example")


@pytest.fixture
def lantern(vera):
    return make_customer(owner=vera, name="Paper Lantern")


def look(browser: Client, organization, member: Membership, reason="She cannot find her invoice"):
    address = reverse("admin:accounts_organization_impersonate", args=[organization.pk])
    assert browser.get(address).status_code == 200
    return browser.post(address, {"member": str(member.pk), "reason": reason})


@pytest.fixture
def looking(operator, vera, lantern):
    browser = sign_in(operator)
    assert look(browser, lantern, vera.memberships.get()).headers["Location"] == "/dashboard/"
    return browser


def test_the_operator_sees_the_members_pages_under_a_band_and_stays_themselves_elsewhere(looking, lantern, operator):
    page = looking.get("/dashboard/").content.decode()
    assert "You see what vera@lantern.example sees." in page and "Paper Lantern" in page
    assert looking.get("/api/v1/organization").json()["name"] == "Paper Lantern"
    back_office = looking.get("/admin/").content.decode()
    assert operator.email in back_office and "You see what" not in back_office
    assert "vera@lantern.example" not in looking.get("/accounts/email/").content.decode()


def test_nothing_can_be_changed_while_looking(looking, lantern, vera):
    before = list(DomainEvent.objects.order_by("pk").values_list("pk", flat=True))
    for path, fields in (
        ("/keys/new/", {"name": "mine", "scopes": "gateway"}),
        ("/organization/", {"name": "Other", "time_zone": "UTC"}),
        ("/profile/", {"name": "Other", "time_zone": "UTC"}),
        ("/lab/ticket/", {}),
        ("/switch/", {"organization": str(lantern.pk)}),
    ):
        answer = looking.post(path, fields)
        assert answer.status_code == 403 and b"nothing can be changed" in answer.content, path
    refused = looking.post("/api/v1/api-keys", {"name": "mine"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "impersonation_reads_only")
    assert looking.delete(f"/api/v1/members/{vera.memberships.get().pk}").json()["code"] == "impersonation_reads_only"
    assert list(DomainEvent.objects.order_by("pk").values_list("pk", flat=True)) == before
    assert not lantern.api_keys.exists()


def test_other_organizations_of_the_member_stay_closed(looking, vera, operator):
    other = make_customer(owner=vera, name="Private Matters")
    session = looking.session
    session["organization_id"] = str(other.pk)
    session.save()
    page = looking.get("/dashboard/").content.decode()
    assert "Paper Lantern" in page and "Private Matters" not in page
    assert looking.get("/api/v1/organization").json()["name"] == "Paper Lantern"


def test_what_the_member_has_not_seen_stays_new_to_them(looking, lantern, vera):
    news = {"type": "credits.exhausted", "data": {}, "created_at": timezone.now(), "event_id": lantern.pk}
    Notice.objects.create(organization=lantern, **news)
    assert looking.get("/notifications/").status_code == 200
    assert not NoticeReader.objects.exists()
    sign_in(vera).get("/notifications/")
    assert NoticeReader.objects.get().user == vera


def test_start_and_end_are_on_the_timeline_with_operator_and_reason(looking, lantern, operator, vera):
    answer = looking.post(END)
    assert answer.headers["Location"] == reverse("admin:organization_timeline", args=[lantern.pk])
    assert "sees." not in looking.get("/").content.decode()
    facts = DomainEvent.objects.filter(organization_id=lantern.pk, type__startswith="member.impersonation")
    assert [(fact.type, fact.actor_label, fact.data["reason"]) for fact in facts.order_by("pk")] == [
        ("member.impersonation_started", operator.email, "She cannot find her invoice"),
        ("member.impersonation_ended", operator.email, "She cannot find her invoice"),
    ]
    row = Impersonation.objects.get()
    assert (row.operator, row.person, row.organization) == (operator, vera, lantern)
    assert row.ended_at is not None and SESSION_KEY not in looking.session
    assert looking.post(END).headers["Location"] == "/"  # twice does no harm
    assert DomainEvent.objects.filter(type="member.impersonation_ended").count() == 1


def test_it_ends_by_itself_after_an_hour(looking):
    with time_machine.travel(timezone.now() + timedelta(minutes=59), tick=False):
        assert b"You see what" in looking.get("/dashboard/").content
    with time_machine.travel(timezone.now() + timedelta(minutes=61), tick=False):
        assert b"You see what" not in looking.get("/dashboard/").content


@pytest.mark.parametrize("lost", ["group", "staff", "active", "person_is_operator", "person_is_stopped", "row"])
def test_it_ends_at_once_when_either_side_may_no_longer(looking, operator, vera, lost):
    match lost:
        case "group":
            operator.groups.clear()
        case "staff" | "active":
            setattr(operator, f"is_{lost}", False)
            operator.save()
        case "person_is_operator":
            vera.is_staff = True
            vera.save()
        case "person_is_stopped":
            vera.is_active = False
            vera.save()
        case "row":
            end_impersonation(impersonation=Impersonation.objects.get(), at=timezone.now())
    answer = looking.get("/dashboard/")
    assert b"You see what" not in answer.content and b"Paper Lantern" not in answer.content


def test_a_member_who_left_shows_nothing(looking, lantern, vera):
    add_member(organization_id=lantern.pk, user=make_user(), role=Role.OWNER, actor=Actor("x"), at=NOON)
    vera.memberships.all().delete()
    answer = looking.get("/dashboard/")
    assert answer.status_code == 403 and b"Paper Lantern" not in answer.content


def test_another_browser_of_the_operator_and_other_operators_look_as_themselves(looking, operator, lantern):
    assert b"Paper Lantern" not in sign_in(operator).get("/dashboard/").content
    other = sign_in(make_user(is_staff=True, is_superuser=True))
    session = other.session
    session[SESSION_KEY] = str(Impersonation.objects.get().pk)
    session.save()
    assert b"Paper Lantern" not in other.get("/dashboard/").content


def test_only_operators_with_the_right_may_and_a_reason_is_needed(operator, vera, lantern):
    address = reverse("admin:accounts_organization_impersonate", args=[lantern.pk])
    fields = {"member": str(vera.memberships.get().pk), "reason": "x"}
    assert sign_in(make_user(is_staff=True)).post(address, fields).status_code == 403
    assert sign_in(vera).post(address, fields).status_code == 302  # to the sign-in
    browser = sign_in(operator)
    assert browser.post(address, {**fields, "reason": "  "}).status_code == 200
    assert browser.post(address, {**fields, "member": "nonsense"}).status_code == 200
    assert not Impersonation.objects.exists() and b"Paper Lantern" not in browser.get("/dashboard/").content


def test_operators_strangers_and_the_stopped_cannot_be_looked_as(operator, vera, lantern):
    at, colleague = timezone.now(), make_user(is_staff=True)
    add_member(organization_id=lantern.pk, user=colleague, role=Role.MEMBER, actor=Actor("x"), at=NOON)
    with pytest.raises(InvalidRequest):
        start_impersonation(operator=operator, person=vera, organization_id=lantern.pk, reason="x" * 301, at=at)
    for person in (colleague, make_user(), operator):
        with pytest.raises(CannotImpersonate):
            start_impersonation(operator=operator, person=person, organization_id=lantern.pk, reason="x", at=at)
    vera.is_active = False
    vera.save()
    with pytest.raises(CannotImpersonate):
        start_impersonation(operator=operator, person=vera, organization_id=lantern.pk, reason="x", at=at)
    assert not Impersonation.objects.exists()
    assert not DomainEvent.objects.filter(type__startswith="member.impersonation").exists()


def test_a_new_one_ends_the_one_before_and_the_table_keeps_to_it(operator, vera, lantern):
    at = timezone.now()
    first = start_impersonation(operator=operator, person=vera, organization_id=lantern.pk, reason="a", at=at)
    later = at + timedelta(hours=5)
    start_impersonation(operator=operator, person=vera, organization_id=lantern.test_twin.pk, reason="b", at=later)
    first.refresh_from_db()
    assert first.ended_at == first.expires_at == at + timedelta(hours=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        Impersonation.objects.filter(pk=first.pk).update(ended_at=None)


def test_a_suspended_organization_can_be_looked_at(looking, lantern):
    set_suspended(organization_id=lantern.pk, suspended=True, reason="x", actor=Actor("x"), at=NOON)
    assert b"You see what" in looking.get("/dashboard/").content


def test_test_books_are_looked_at_by_themselves(operator, vera, lantern):
    browser = sign_in(operator)
    look(browser, lantern.test_twin, vera.memberships.get())
    assert browser.get("/api/v1/organization").json()["mode"] == "test"

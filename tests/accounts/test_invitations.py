"""Invitations: sent, accepted once by the right person while they are valid; leaving; passing ownership on."""

import re
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.errors import (
    AlreadyInvited,
    AlreadyMember,
    InvitationNotOpen,
    LastOwner,
    OwnersOnly,
    TooManyInvitations,
    WrongInvitee,
)
from accounts.models import ApiKey, Invitation, Membership, Organization, User
from accounts.principal import Actor
from accounts.querysets import STAYS_IN_SIGHT
from accounts.services import (
    accept_invitation,
    add_member,
    change_role,
    invite,
    leave,
    remove_member,
    resend_invitation,
    revoke_api_key,
    revoke_invitation,
    rotate_api_key,
    transfer_ownership,
)
from accounts.services import invitations as rules
from accounts.services.invitations import Inviter, stands
from outbox.models import DomainEvent, EmailDelivery
from tests.api.caller import Caller
from tests.builders import NOON, make_customer, make_user, sign_in
from tests.concurrency.parallel import Meeting, run_parallel
from tiers.services import create_tier

pytestmark = pytest.mark.django_db

BOSS = Inviter(Actor("test"))
PASSWORD = "a long enough secret"


@pytest.fixture(autouse=True)
def nobody_counted(monkeypatch):
    cache.clear()
    monkeypatch.setattr("openrouter.tasks.soon", lambda *_: None)
    yield
    cache.clear()


@pytest.fixture
def customer():
    return make_customer(owner=make_user(email="owner@example.com"), name="Analytical Engines")


def send(customer, email="ada@example.com", role="member", by=BOSS, at=NOON):
    """An invitation and the token that its e-mail has."""
    invitation = invite(organization_id=customer.id, email=email, role=role, by=by, at=at)
    return invitation, token_of(invitation)


def token_of(invitation):
    invitation.refresh_from_db()
    body = EmailDelivery.objects.get(key=f"invitation:{invitation.id}:{invitation.times_sent}").body
    return re.search(r"/invitations/([\w-]+)/", body)[1]


def accept(token, user, at=NOON):
    return accept_invitation(token=token, user=user, at=at)


def test_an_invitation_is_accepted_once_and_by_its_address_in_any_case(customer):
    invitation, token = send(customer, email=" Ada@Example.COM ")
    ada = make_user(email="ada@example.com")
    EmailAddress.objects.create(user=ada, email="ada@example.com", verified=False)
    assert accept(token, ada).role == "member"
    with pytest.raises(InvitationNotOpen):
        accept(token, ada)
    invitation.refresh_from_db()
    assert (invitation.accepted_by, invitation.accepted_at) == (ada, NOON)
    assert EmailAddress.objects.get(user=ada).verified
    told = DomainEvent.objects.filter(organization=customer, type__startswith="member.")
    assert list(told.values_list("type", flat=True).order_by("type")) == ["member.added", "member.invited"]
    assert not any(token in str(event.data) for event in told)


def test_the_token_is_stored_nowhere_but_in_the_e_mail(customer):
    invitation, token = send(customer)
    assert len(token) == 43 and token not in str(Invitation.objects.filter(id=invitation.id).values())


def test_the_wrong_person_is_refused_and_nothing_is_used_up(customer):
    _, token = send(customer)
    with pytest.raises(WrongInvitee):
        accept(token, make_user(email="eve@example.com"))
    assert customer.memberships.count() == 1
    accept(token, make_user(email="ada@example.com"))


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "a\x00b", "é"])
def test_a_guessed_token_opens_nothing(customer, token):
    send(customer)
    with pytest.raises(InvitationNotOpen):
        accept(token, make_user(email="ada@example.com"))


def test_after_its_time_it_is_over_and_the_same_address_may_be_invited_again(customer):
    _, token = send(customer)
    ada = make_user(email="ada@example.com")
    later = NOON + rules.LIFETIME
    with pytest.raises(InvitationNotOpen):
        accept(token, ada, at=later)
    _, fresh = send(customer, at=later)
    with pytest.raises(InvitationNotOpen):
        accept(token, ada, at=later)
    accept(fresh, ada, at=later)


def test_taken_back_and_sent_again_the_link_before_is_dead(customer):
    invitation, first = send(customer)
    later = NOON + timedelta(minutes=2)
    resend_invitation(invitation_id=invitation.id, organization_id=customer.id, by=BOSS, at=later)
    ada = make_user(email="ada@example.com")
    with pytest.raises(InvitationNotOpen):
        accept(first, ada, at=later)
    second = token_of(invitation)
    revoke_invitation(invitation_id=invitation.id, organization_id=customer.id, by=BOSS, at=later)
    with pytest.raises(InvitationNotOpen):
        accept(second, ada, at=later)


def test_a_suspended_organization_takes_nobody_in(customer):
    _, token = send(customer)
    Organization.objects.filter(id=customer.id).update(is_suspended=True)
    with pytest.raises(InvitationNotOpen):
        accept(token, make_user(email="ada@example.com"))


def test_members_and_invited_people_are_not_invited_twice(customer):
    send(customer)
    with pytest.raises(AlreadyInvited):
        send(customer, email="ADA@example.com")
    with pytest.raises(AlreadyMember):
        send(customer, email="OWNER@example.com")
    other = EmailAddress.objects.create(user=customer.memberships.get().user, email="second@example.com")
    with pytest.raises(AlreadyMember):
        send(customer, email=other.email)
    assert Invitation.objects.count() == 1


def test_only_owners_invite_owners(customer):
    admin = add_member(organization_id=customer.id, user=make_user(), role="admin", actor=Actor("test"), at=NOON)
    with pytest.raises(OwnersOnly):
        send(customer, role="owner", by=Inviter(Actor("x"), admin.user, admin))
    owner = customer.memberships.get(role="owner")
    invitation, _ = send(customer, role="owner", by=Inviter(Actor("x"), owner.user, owner))
    for change in (resend_invitation, revoke_invitation):
        with pytest.raises(OwnersOnly):
            change(
                invitation_id=invitation.id,
                organization_id=customer.id,
                by=Inviter(Actor("x"), admin.user, admin),
                at=NOON + timedelta(hours=1),
            )


def test_an_invitation_stands_by_the_word_of_somebody_who_may_still_give_it(customer):
    """Who is demoted takes along what they may no longer invite to; sent again by another, it stands again."""
    owner = customer.memberships.get()
    second = add_member(organization_id=customer.id, user=make_user(), role="owner", actor=Actor("test"), at=NOON)
    word = Inviter(Actor("x"), second.user, second)
    invitation, as_owner = send(customer, "heir@example.com", "owner", word)
    _, as_member = send(customer, "ada@example.com", "member", word)
    _, as_viewer = send(customer, "eve@example.com", "viewer", word)
    heir, ada, eve = (make_user(email=f"{name}@example.com") for name in ("heir", "ada", "eve"))
    who = {"membership_id": second.id, "organization_id": customer.id, "actor": Actor("x"), "at": NOON}
    change_role(role="admin", **who)
    with pytest.raises(InvitationNotOpen):
        accept(as_owner, heir)
    assert accept(as_member, ada).role == "member"
    change_role(role="billing", **who)
    with pytest.raises(InvitationNotOpen):
        accept(as_viewer, eve)
    remove_member(**who)
    with pytest.raises(InvitationNotOpen):
        accept(as_viewer, eve)
    again = {"invitation_id": invitation.id, "organization_id": customer.id, "at": NOON + timedelta(minutes=2)}
    resend_invitation(by=Inviter(Actor("x"), owner.user, owner), **again)
    assert accept(token_of(invitation), heir, at=again["at"]).role == "owner"
    _, renewed = send(customer, "eve@example.com", "viewer")
    assert accept(renewed, eve).role == "viewer"


def test_an_address_that_somebody_else_has_confirmed_lets_in_only_them(customer):
    """Whoever writes somebody else's address into their account, or signed up with it unconfirmed, is not invited."""
    _, token = send(customer)
    claimant, ada = make_user(email="ada@example.com"), make_user(email="countess@example.com")
    EmailAddress.objects.create(user=claimant, email="ada@example.com", verified=False)
    EmailAddress.objects.create(user=ada, email="Ada@example.com", verified=True)
    with pytest.raises(WrongInvitee):
        accept(token, claimant)
    assert accept(token, ada).user == ada
    assert not EmailAddress.objects.get(user=claimant).verified


@pytest.fixture
def two_with_one_address():
    """Two accounts that have the same address, confirmed by neither."""
    people = [make_user(email="ada@example.com"), make_user(email="countess@example.com")]
    EmailAddress.objects.create(user=people[1], email="ada@example.com", verified=False)
    return people


def race(token, people):
    return sorted(type(each).__name__ for each in run_parallel([lambda p=p: accept(token, p) for p in people]))


@pytest.mark.django_db(transaction=True)
def test_an_invitation_that_many_accept_at_once_lets_one_in(customer, two_with_one_address):
    _, token = send(customer)
    assert race(token, two_with_one_address * 2) == ["InvitationNotOpen"] * 3 + ["Membership"]
    assert customer.memberships.count() == 2


@pytest.mark.django_db(transaction=True)
def test_control_without_the_organizations_lock_it_lets_several_in(customer, two_with_one_address, monkeypatch):
    def look_together(*args):
        found = is_mine(*args)
        everybody.wait()
        return found

    is_mine, everybody = rules.is_for, Meeting(2)
    monkeypatch.setattr(rules, "is_for", look_together)
    monkeypatch.setattr(rules, "live_organization", lambda id: Organization.objects.get(id=id))
    monkeypatch.setattr("accounts.services.members.live_organization", lambda id: Organization.objects.get(id=id))
    monkeypatch.setattr(rules.models.QuerySet, "select_for_update", lambda rows, **_: rows)
    _, token = send(customer)
    assert race(token, two_with_one_address).count("Membership") == 2
    assert customer.memberships.count() == 3


def test_nobody_is_flooded(customer, monkeypatch):
    invitation, _ = send(customer)
    with pytest.raises(TooManyInvitations):
        resend_invitation(invitation_id=invitation.id, organization_id=customer.id, by=BOSS, at=NOON)
    monkeypatch.setattr(rules, "MOST_A_DAY", 2)
    send(customer, email="b@example.com")
    with pytest.raises(TooManyInvitations):
        send(customer, email="c@example.com")
    assert EmailDelivery.objects.count() == 2
    send(customer, email="c@example.com", at=NOON + timedelta(days=1, seconds=1))


def test_what_is_over_stands_apart_and_leaves_the_lists_after_a_while(customer):
    now = timezone.now()
    owner = customer.memberships.get()
    admin = add_member(organization_id=customer.id, user=make_user(), role="admin", actor=Actor("test"), at=NOON)
    send(customer, "long.gone@example.com", at=now - rules.LIFETIME - STAYS_IN_SIGHT)
    send(customer, "just.over@example.com", at=now - rules.LIFETIME)
    send(customer, "open@example.com", at=now)
    send(customer, "orphan@example.com", by=Inviter(Actor("x"), admin.user, admin), at=now)
    remove_member(membership_id=admin.id, organization_id=customer.id, actor=Actor("x"), at=now)
    page = sign_in(owner.user).get("/team/")
    assert [each.email for each in page.context["invitations"]] == ["open@example.com"]
    assert [each.email for each in page.context["over"]] == ["orphan@example.com", "just.over@example.com"]
    assert "Expired" in page.content.decode() and "Inviter left or demoted" in page.content.decode()
    listed = Caller(customer).ask("GET", "invitations")[1]["data"]
    assert {each["email"]: each["is_open"] for each in listed} == {
        "just.over@example.com": False,
        "open@example.com": True,
        "orphan@example.com": False,
    }
    _, token = send(customer, "long.gone@example.com", at=now)  # forgotten by the lists, and free to be invited
    assert accept(token, make_user(email="long.gone@example.com"), at=now).role == "member"


# ---------------------------------------------------------------- leaving and passing on


def test_the_last_owner_cannot_leave_and_others_can(customer):
    owner, ada = customer.memberships.get().user, make_user()
    add_member(organization_id=customer.id, user=ada, role="viewer", actor=Actor("test"), at=NOON)
    with pytest.raises(LastOwner):
        leave(organization_id=customer.id, user=owner, actor=Actor("x"), at=NOON)
    leave(organization_id=customer.id, user=ada, actor=Actor("x"), at=NOON)
    assert list(customer.memberships.values_list("user", flat=True)) == [owner.pk]


def test_ownership_passes_on_whole_and_only_by_an_owner(customer):
    owner, ada, eve = customer.memberships.get().user, make_user(), make_user()
    heir = add_member(organization_id=customer.id, user=ada, role="member", actor=Actor("test"), at=NOON)
    add_member(organization_id=customer.id, user=eve, role="admin", actor=Actor("test"), at=NOON)
    who = {"organization_id": customer.id, "actor": Actor("x"), "at": NOON}
    with pytest.raises(OwnersOnly):
        transfer_ownership(from_user=eve, membership_id=heir.id, **who)
    transfer_ownership(from_user=owner, membership_id=heir.id, **who)
    roles = dict(customer.memberships.values_list("user", "role"))
    assert (roles[owner.pk], roles[ada.pk], roles[eve.pk]) == ("admin", "owner", "admin")


# ---------------------------------------------------------------- pages


def test_somebody_without_an_account_signs_up_with_a_confirmed_address_and_joins(customer):
    create_tier(at=NOON, slug="basic", name="Basic", is_default=True)
    now = timezone.now()
    _, token = send(customer, role="billing", at=now)
    client, path = Client(), f"/invitations/{token}/"
    page = client.get(path).content.decode()
    assert "Join Analytical Engines" in page and f"/accounts/signup/?next={path.replace('/', '%2F')}" not in page
    assert client.post(path)["Location"].startswith("/accounts/login/?next=")
    form = {"email": "ada@example.com", "password1": PASSWORD, "password2": PASSWORD, "next": path}
    assert client.post("/accounts/signup/", form)["Location"] == path
    assert EmailAddress.objects.get(email="ada@example.com").verified
    assert client.post(path)["Location"] == "/dashboard/"
    assert "Analytical Engines" in client.get("/team/").content.decode()
    assert Membership.objects.get(organization=customer, user__email="ada@example.com").role == "billing"


def test_the_wrong_person_is_told_for_whom_it_is(customer):
    _, token = send(customer, at=timezone.now())
    client = sign_in(make_user(email="eve@example.com"))
    page = client.get(f"/invitations/{token}/").content.decode()
    assert "is for somebody else" in page and "eve@example.com" in page
    assert client.post(f"/invitations/{token}/")["Location"] == f"/invitations/{token}/"
    assert not Membership.objects.filter(user__email="eve@example.com").exists()


def test_dead_links_all_look_alike(customer, settings):
    _, token = send(customer, at=timezone.now() - timedelta(days=8))
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "anonymous": 3}
    client = Client()
    pages = [client.get(f"/invitations/{each}/").content.decode() for each in (token, "x")]
    assert len({re.sub(rf'value="[\w-]+"|{token}', "x", page) for page in pages}) == 1
    client.get("/invitations/y/")
    assert client.get("/invitations/z/").status_code == 429


def test_an_organizations_name_is_text_wherever_it_stands(customer):
    name = '<script>alert("1")</script>'
    Organization.objects.filter(id=customer.id).update(name=name)
    User.objects.filter(email="owner@example.com").update(name='"><img src=x onerror=alert(1)>')
    owner = User.objects.get(email="owner@example.com")
    _, token = send(customer, by=Inviter(Actor("x"), owner, customer.memberships.get()), at=timezone.now())
    for path in (f"/invitations/{token}/", "/team/", "/organization/"):
        client = Client() if token in path else sign_in(owner)
        page = client.get(path).content.decode()
        assert name not in page and "<img src=x" not in page and "&lt;" in page, path


def test_the_team_page_invites_resends_takes_back_and_refuses_in_words(customer):
    owner = sign_in(customer.memberships.get().user)
    assert owner.post("/team/invite/", {"email": "ada@example.com", "role": "member"})["Location"] == "/team/"
    again = owner.post("/team/invite/", {"email": "ada@example.com", "role": "member"})
    assert again.status_code == 409 and "waiting already" not in again.content.decode()
    assert "already invited" in again.content.decode()
    invitation = Invitation.objects.get()
    owner.post(f"/team/invitations/{invitation.id}/resend/")
    assert "sent a moment ago" in owner.get("/team/").content.decode()
    owner.post(f"/team/invitations/{invitation.id}/revoke/")
    assert not Invitation.objects.pending().exists()


# ---------------------------------------------------------------- API


def test_the_api_invites_lists_resends_and_takes_back(customer):
    caller = Caller(customer)
    status, made = caller.ask("POST", "invitations", {"email": "ada@example.com", "role": "viewer"})
    assert (status, made["email"], made["role"]) == (201, "ada@example.com", "viewer")
    assert not {"token", "digest"} & set(made)
    again = caller.ask("POST", "invitations", {"email": "ada@example.com", "role": "member"})
    assert (again[0], again[1]["code"]) == (409, "already_invited")
    assert caller.ask("POST", "invitations", {"email": "nobody", "role": "viewer"})[0] == 400
    assert [each["id"] for each in caller.ask("GET", "invitations")[1]["data"]] == [made["id"]]
    assert caller.ask("GET", f"invitations/{made['id']}")[1] == made
    assert caller.ask("POST", f"invitations/{made['id']}/resend", {})[1]["code"] == "too_many_invitations"
    assert caller.ask("DELETE", f"invitations/{made['id']}")[0] == 204
    assert caller.ask("DELETE", f"invitations/{made['id']}")[0] == 404
    assert caller.ask("GET", "invitations")[1]["data"] == []
    assert Caller(customer.test_twin).ask("POST", "invitations", {"email": "b@example.com", "role": "viewer"})[0] == 403


def test_what_a_key_has_said_stands_through_rotations_and_falls_when_it_is_revoked_or_expires(customer):
    caller = Caller(customer)
    made = caller.ask("POST", "invitations", {"email": "ada@example.com", "role": "admin"})[1]
    invitation, ada, now = Invitation.objects.get(), make_user(email="ada@example.com"), timezone.now()
    ask = {"organization_id": customer.id, "actor": Actor("test"), "at": now}
    after, _ = rotate_api_key(key_id=ApiKey.objects.get().id, overlap=timedelta(0), **ask)
    assert stands(Invitation.objects.with_inviter().get(), now)
    for ends_at, still in ((now + timedelta(days=1), True), (now, False), (None, True)):
        ApiKey.objects.filter(id=after.id).update(expires_at=ends_at)
        assert stands(Invitation.objects.with_inviter().get(), now) is still
    revoke_api_key(key_id=after.id, **ask)
    with pytest.raises(InvitationNotOpen):
        accept(token_of(invitation), ada, at=now)
    assert not customer.memberships.filter(user=ada).exists()
    anew = {"invitation_id": made["id"], "organization_id": customer.id, "at": now + timedelta(minutes=2)}
    resend_invitation(by=BOSS, **anew)
    assert accept(token_of(invitation), ada, at=anew["at"]).role == "admin"

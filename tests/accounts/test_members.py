"""Who belongs to an organization, and that it never loses its last owner."""

import pytest

from accounts.directory import authenticate_key, forget_keys
from accounts.errors import AlreadyMember, ApiKeyRevoked, LastOwner, OwnersOnly
from accounts.models import ApiKey, Membership
from accounts.principal import Actor
from accounts.services import add_member, change_role, members, remove_member
from core.errors import InvalidRequest, NotFound
from outbox.models import DomainEvent
from tests.builders import NOON, make_customer, make_key, make_user
from tests.concurrency.parallel import Meeting, run_parallel

ME = Actor("test")


@pytest.fixture
def owner(db):
    return make_customer(owner=make_user()).memberships.get()


def add(organization, role, by=None):
    return add_member(organization_id=organization.id, user=make_user(), role=role, actor=ME, at=NOON, by=by)


def give_role(membership, role, by=None):
    return change_role(
        membership_id=membership.id,
        organization_id=membership.organization_id,
        role=role,
        actor=ME,
        at=NOON,
        by=by,
    )


def remove(membership, by=None):
    remove_member(membership_id=membership.id, organization_id=membership.organization_id, actor=ME, at=NOON, by=by)


def test_the_last_owner_can_neither_leave_nor_step_down(owner):
    add(owner.organization, "admin")
    for act in (lambda: remove(owner), lambda: give_role(owner, "member")):
        with pytest.raises(LastOwner):
            act()
    owner.refresh_from_db()
    assert owner.role == "owner"


def test_with_a_second_owner_the_first_may_go(owner):
    second = add(owner.organization, "owner")
    remove(owner)
    with pytest.raises(LastOwner):
        remove(second)


def test_only_owners_make_change_or_remove_owners(owner):
    admin = add(owner.organization, "admin")
    second = add(owner.organization, "owner", by=owner)
    for act in (
        lambda: add(owner.organization, "owner", by=admin),
        lambda: give_role(admin, "owner", by=admin),
        lambda: give_role(second, "member", by=admin),
        lambda: remove(second, by=admin),
    ):
        with pytest.raises(OwnersOnly):
            act()
    assert sorted(Membership.objects.values_list("role", flat=True)) == ["admin", "owner", "owner"]


def test_a_person_belongs_once(owner):
    with pytest.raises(AlreadyMember):
        add_member(organization_id=owner.organization_id, user=owner.user, role="viewer", actor=ME, at=NOON)


def test_an_unknown_role_is_refused(owner):
    with pytest.raises(InvalidRequest):
        add(owner.organization, "emperor")


def test_another_organizations_member_does_not_exist(owner):
    stranger = make_customer(owner=make_user()).memberships.get()
    stranger.organization_id = owner.organization_id
    with pytest.raises(NotFound):
        remove(stranger)
    assert Membership.objects.count() == 2


def test_a_removed_members_keys_are_revoked_and_stay_listed(owner):
    member = add(owner.organization, "member")
    key, secret = make_key(owner.organization, member=member)
    remove(member)
    forget_keys()
    with pytest.raises(ApiKeyRevoked):
        authenticate_key(secret, at=NOON)
    key = ApiKey.objects.get(id=key.id)
    assert (key.revoked_at, key.member) == (NOON, None)


def test_every_change_is_in_the_audit_trail(owner):
    member = add(owner.organization, "member")
    give_role(member, "billing")
    remove(member)
    told = DomainEvent.objects.filter(type__startswith="member.").order_by("id")
    assert [(event.type, event.data.get("role") or event.data["to"]) for event in told] == [
        ("member.added", "member"),
        ("member.role_changed", "billing"),
        ("member.removed", "billing"),
    ]


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_leave_at_once_leave_one_behind():
    first = make_customer(owner=make_user()).memberships.get()
    second = add(first.organization, "owner")
    results = run_parallel([lambda: remove(first), lambda: remove(second)])
    assert sum(isinstance(result, LastOwner) for result in results) == 1
    assert Membership.objects.filter(role="owner").count() == 1


@pytest.mark.django_db(transaction=True)
def test_without_the_organizations_lock_both_leave(monkeypatch):
    first = make_customer(owner=make_user()).memberships.get()
    second = add(first.organization, "owner")
    check, everybody = members._keep_an_owner, Meeting(2)

    def unlocked(organization_id):
        from accounts.models import Organization

        return Organization.objects.get(id=organization_id)

    def check_together(live, *, without):
        check(live, without=without)
        everybody.wait()

    monkeypatch.setattr(members, "live_organization", unlocked)
    monkeypatch.setattr(members, "_keep_an_owner", check_together)
    run_parallel([lambda: remove(first), lambda: remove(second)])
    assert Membership.objects.count() == 0

"""Teams: who is in them, since when, and who may say so."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from accounts.directory import authenticate_key, forget_keys
from accounts.errors import TeamExists, TeamHasTeams
from accounts.models import Team, TeamPlacement
from accounts.principal import Actor
from accounts.services import (
    add_member,
    archive_team,
    create_team,
    fill_team,
    place_member,
    remove_member,
    rotate_api_key,
    update_api_key,
    update_team,
)
from accounts.services.keys import terms_of
from core.errors import InvalidRequest, NotFound
from outbox.models import DomainEvent
from tests.api.caller import Caller
from tests.builders import NOON, make_customer, make_key, make_user, sign_in
from tiers.services import create_tier, subscribe

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
BY = Actor("test")


@pytest.fixture
def customer():
    return make_customer(owner=make_user())


def make_team(customer, name="Search", **fields):
    return create_team(organization_id=customer.id, name=name, actor=BY, **{"at": NOON, **fields})


def stays(subject):
    found = TeamPlacement.objects.filter(subject_id=subject.id).order_by("starts_at")
    return [(stay.team.name, stay.starts_at, stay.ends_at) for stay in found]


def test_a_member_is_in_one_team_at_a_time_and_the_past_is_kept(customer):
    search, sales = make_team(customer), make_team(customer, "Sales")
    member = add_member(organization_id=customer.id, user=make_user(), role="member", actor=BY, at=NOON)
    change = {"membership_id": member.id, "organization_id": customer.id, "actor": BY}
    place_member(team_id=search.id, at=NOON, **change)
    place_member(team_id=sales.id, at=NOON + HOUR, **change)
    place_member(team_id=sales.id, at=NOON + 2 * HOUR, **change)  # again: nothing to keep
    place_member(team_id=None, at=NOON + 3 * HOUR, **change)
    assert stays(member) == [("Search", NOON, NOON + HOUR), ("Sales", NOON + HOUR, NOON + 3 * HOUR)]
    with pytest.raises(IntegrityError), transaction.atomic():
        TeamPlacement.objects.create(organization=customer, team=search, subject_id=member.id, starts_at=NOON)
    told = DomainEvent.objects.filter(type="member.team_changed").order_by("id")
    assert [event.data["team"] for event in told] == ["Search", "Sales", ""]


def test_who_leaves_is_in_no_team_and_what_they_were_in_is_still_known(customer):
    search = make_team(customer)
    member = add_member(organization_id=customer.id, user=make_user(), role="member", actor=BY, at=NOON)
    place_member(membership_id=member.id, organization_id=customer.id, team_id=search.id, actor=BY, at=NOON)
    remove_member(membership_id=member.id, organization_id=customer.id, actor=BY, at=NOON + HOUR)
    stay = TeamPlacement.objects.get()
    assert (stay.team, stay.ends_at) == (search, NOON + HOUR)


def test_a_key_carries_its_own_team_before_that_of_its_member_and_hands_it_on(customer):
    department = make_team(customer, "Product")
    search, sales = make_team(customer, department_id=department.id), make_team(customer, "Sales")
    member = customer.memberships.get()
    place_member(membership_id=member.id, organization_id=customer.id, team_id=sales.id, actor=BY, at=NOON)
    own, own_secret = make_key(customer, team=search, member=member)
    _other, other_secret = make_key(customer, member=member)
    _of_twin, twin_secret = make_key(customer.test_twin, team=search)
    _nobody, nobody_secret = make_key(customer)
    teams = [authenticate_key(each, at=NOON) for each in (own_secret, other_secret, twin_secret, nobody_secret)]
    assert [(each.team_id, each.department_id) for each in teams] == [
        (search.id, department.id),
        (sales.id, None),
        (search.id, department.id),
        (None, None),
    ]
    heir, heir_secret = rotate_api_key(
        key_id=own.id, organization_id=customer.id, overlap=HOUR, actor=BY, at=NOON + HOUR
    )
    assert heir.team == search
    assert stays(heir) == [("Search", NOON + HOUR, None)]
    terms = terms_of(heir)
    update_api_key(
        key_id=heir.id,
        organization_id=customer.id,
        name="x",
        terms=type(terms)(scopes=terms.scopes),
        actor=BY,
        at=NOON + 2 * HOUR,
    )
    assert stays(heir) == [("Search", NOON + HOUR, NOON + 2 * HOUR)]
    forget_keys()
    assert authenticate_key(heir_secret, at=NOON + 2 * HOUR).team_id is None


def test_a_department_stands_in_none_and_is_not_put_away_with_teams_in_it(customer):
    product = make_team(customer, "Product")
    search = make_team(customer, department_id=product.id)
    change = {"organization_id": customer.id, "actor": BY, "at": NOON}
    with pytest.raises(InvalidRequest):
        make_team(customer, "Deeper", department_id=search.id)
    with pytest.raises(InvalidRequest):
        update_team(team_id=search.id, name="Search", department_id=search.id, **change)
    other = make_team(customer, "Other")
    with pytest.raises(TeamHasTeams):
        update_team(team_id=product.id, name="Product", department_id=other.id, **change)
    with pytest.raises(TeamHasTeams):
        archive_team(team_id=product.id, **change)
    assert Team.objects.active().count() == 3
    archive_team(team_id=search.id, **change)
    archive_team(team_id=product.id, **change)
    assert list(Team.objects.active()) == [other]


def test_names_are_used_once_and_those_put_away_give_theirs_free(customer):
    search = make_team(customer)
    with pytest.raises(TeamExists):
        make_team(customer, "search")
    member = customer.memberships.get()
    change = {"organization_id": customer.id, "actor": BY, "at": NOON + HOUR}
    fill_team(team_id=search.id, member_ids=[member.id], key_ids=[], **change)
    archive_team(team_id=search.id, **{**change, "at": NOON + 2 * HOUR})
    member.refresh_from_db()
    assert member.team is None
    assert stays(member) == [("Search", NOON + HOUR, NOON + 2 * HOUR)]
    again = make_team(customer)
    assert (search.slug, again.slug) == ("search", "search-2")
    assert not Team.objects.active().filter(id=search.id).exists()


def test_filling_takes_just_the_named_and_no_strangers(customer):
    search, stranger = make_team(customer), make_customer(owner=make_user())
    (key, _), (other, _), (theirs, _) = make_key(customer), make_key(customer.test_twin), make_key(stranger)
    member = customer.memberships.get()
    change = {"team_id": search.id, "organization_id": customer.id, "actor": BY, "at": NOON}
    fill_team(member_ids=[member.id], key_ids=[key.id], **change)
    fill_team(member_ids=[], key_ids=[key.id, other.id], **change)
    assert not search.memberships.exists()
    assert set(search.api_keys.all()) == {key, other}
    foreign = stranger.memberships.get()
    for members, keys in (([foreign.id], []), ([], [theirs.id])):
        with pytest.raises(NotFound):
            fill_team(member_ids=members, key_ids=keys, **change)
    assert set(search.api_keys.all()) == {key, other}


def test_the_api_makes_moves_and_puts_away(customer):
    caller = Caller(customer)
    status, made = caller.ask("POST", "teams", {"name": "Product"})
    assert (status, made["slug"], made["member_count"]) == (201, "product", 0)
    status, team = caller.ask("POST", "teams", {"name": "Search", "department_id": made["id"]})
    assert team["department_id"] == made["id"]
    assert caller.ask("POST", "teams", {"name": "search"})[1]["code"] == "team_exists"
    member = customer.memberships.get()
    status, placed = caller.ask("PATCH", f"members/{member.id}", {"team_id": team["id"]})
    assert (status, placed["team_id"], placed["role"]) == (200, team["id"], "owner")
    key = caller.ask("POST", "api-keys", {"name": "k", "scopes": ["gateway"], "team_id": team["id"]})[1]
    assert key["team_id"] == team["id"]
    assert caller.ask("PATCH", f"members/{member.id}", {})[1]["code"] == "invalid_request"
    found = caller.ask("GET", f"teams/{team['id']}")[1]
    assert (found["member_count"], found["key_count"]) == (1, 1)
    assert caller.ask("DELETE", f"teams/{made['id']}")[1]["code"] == "team_has_teams"
    assert caller.ask("DELETE", f"teams/{team['id']}")[0] == 204
    assert caller.ask("GET", f"teams/{team['id']}")[0] == 404
    assert [each["name"] for each in caller.ask("GET", "teams")[1]["data"]] == ["Product"]
    assert Caller(customer.test_twin).ask("POST", "teams", {"name": "x"})[1]["code"] == "live_mode_required"


def test_teams_are_for_tiers_that_have_them(customer):
    tier = create_tier(at=NOON, slug="small", name="Small", entitlements={"teams": False, "api_access": True})
    team = make_team(customer)
    subscribe(organization_id=customer.id, tier_slug=tier.slug, at=NOON)
    caller, member = Caller(customer), customer.memberships.get()
    for method, path, body in [
        ("POST", "teams", {"name": "More"}),
        ("PATCH", f"teams/{team.id}", {"name": "More"}),
        ("PATCH", f"members/{member.id}", {"team_id": str(team.id)}),
        ("POST", "api-keys", {"name": "k", "scopes": ["gateway"], "team_id": str(team.id)}),
    ]:
        status, problem = caller.ask(method, path, body)
        assert (status, problem["code"], problem["entitlement"]) == (403, "not_in_tier", "teams"), path
    member.refresh_from_db()
    assert (member.team, Team.objects.count(), Team.objects.get().name) == (None, 1, "Search")
    browser = sign_in(member.user)
    page = browser.get("/teams/").content.decode()
    assert "Team management is not included in Small" in page
    assert "New team" not in page
    assert browser.post("/teams/new/", {"name": "More"}).status_code == 400
    assert Team.objects.count() == 1


def test_the_pages_make_fill_and_put_away_a_team(customer):
    member = customer.memberships.get()
    key, _ = make_key(customer)
    browser = sign_in(member.user)
    answer = browser.post("/teams/new/", {"name": "Search"}, follow=True)
    team = Team.objects.get()
    assert "Choose who is in it" in answer.content.decode()
    form = {"team-name": "Search & find", "members": [member.id], "keys": [key.id]}
    browser.post(f"/teams/{team.id}/settings/", form)
    team.refresh_from_db()
    assert (team.name, team.memberships.get(), team.api_keys.get()) == ("Search & find", member, key)
    assert "Search &amp; find" in browser.get("/team/").content.decode()
    viewer = make_user()
    add_member(organization_id=customer.id, user=viewer, role="viewer", actor=BY, at=NOON)
    reader = sign_in(viewer)
    assert "New team" not in reader.get("/teams/").content.decode()
    assert reader.get(f"/teams/{team.id}/settings/").status_code == 403
    assert reader.post(f"/teams/{team.id}/put-away/").status_code == 403
    browser.post(f"/teams/{team.id}/put-away/")
    assert not Team.objects.active().exists()

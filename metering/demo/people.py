"""People, organizations and keys of the demo data."""

import secrets
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.db.models import Max, OuterRef, Subquery

from accounts.actors import key_actor
from accounts.models import ApiKey, Membership, Organization, Team, User
from accounts.principal import Actor
from accounts.scopes import Scope
from accounts.services import (
    KeyTerms,
    add_member,
    create_api_key,
    create_organization,
    create_team,
    place_member,
    revoke_api_key,
)
from metering.demo.cast import COMPANIES, OPERATOR
from metering.demo.pricing import Terms
from metering.demo.shapes import Company, Loaded, Person
from metering.models import UsageEvent

ACTOR = Actor("demo data")
SHOWN_KEY = "Demo key"
_SERVICE_SCOPES = (Scope.GATEWAY, Scope.USAGE_WRITE, Scope.USAGE_READ, Scope.CREDITS_READ)
# Keys that are one person's own, by the place of the person among the members.
_OWN = {"Prompt lab": 0, "Notebooks": 2}


def make_operator(password_hash: str) -> User:
    """The one who runs this Farebox; keeps an existing person's rights and data, sets the password."""
    user = _person(OPERATOR, password_hash)
    user.is_staff = user.is_superuser = True
    user.save(update_fields=["is_staff", "is_superuser"])
    return user


def make_company(company: Company, password_hash: str, *, at: datetime) -> Organization:
    """The organization, founded at ``at``, with its people on their first tier."""
    owner, *others = [_person(person, password_hash, company.zone) for person in company.people]
    organization = create_organization(
        name=company.name, owner=owner, tier_slug=company.tiers[0][1], is_signup=True, actor=ACTOR, at=at
    )
    Organization.objects.filter(pk__in=(organization.id, organization.test_twin.id)).update(time_zone=company.zone)
    for user, person in zip(others, company.people[1:], strict=True):
        joined = at + timedelta(days=2)
        add_member(organization_id=organization.id, user=user, role=person.role, actor=ACTOR, at=joined)
    _make_teams(company, organization, at)
    return organization


def _make_teams(company: Company, organization: Organization, at: datetime) -> None:
    """Departments and teams with their members; the keys are put in when they are made."""
    made: dict[str, Team] = {}
    for name, department, email, _key in company.teams:
        above = made[department].id if department else None
        made[name] = create_team(organization_id=organization.id, name=name, department_id=above, actor=ACTOR, at=at)
        if email:
            member = organization.memberships.get(user__email=email)
            place_member(
                membership_id=member.id, organization_id=organization.id, team_id=made[name].id, actor=ACTOR, at=at
            )


def make_keys(company: Company, organization: Organization, *, at: datetime, first: bool = True) -> Terms:
    """The keys of the company's services, and what its uses need to know of them."""
    live_id = organization.live_organization_id or organization.id
    members = list(Membership.objects.filter(organization_id=live_id).order_by("created_at", "id"))
    own = {team.name: team for team in Team.objects.filter(organization_id=live_id)}
    teams = {key: own[name] for name, _department, _email, key in company.teams if key}
    keys = {}
    for name in company.keys:
        owner = _OWN.get(name)
        member = members[owner] if owner is not None and len(members) > owner else None
        terms = KeyTerms(scopes=_SERVICE_SCOPES, member=member, team=teams.get(name))
        key, _ = create_api_key(organization=organization, name=name, terms=terms, actor=ACTOR, at=at)
        keys[name] = (key.id, member.id if member else None, key_actor(key.prefix))
    if first and company.keys:
        old, _ = create_api_key(
            organization=organization, name="Old laptop", terms=KeyTerms(scopes=_SERVICE_SCOPES), actor=ACTOR, at=at
        )
        ended = at + timedelta(days=30)
        revoke_api_key(key_id=old.id, organization_id=organization.id, actor=ACTOR, at=ended)
    return Terms(organization.id, company.tiers[0][1], (), keys)


def make_shown_key(organization: Organization, *, at: datetime) -> str:
    """The secret of a key to try things with: it may do everything."""
    terms = KeyTerms(scopes=tuple(Scope.values))
    _, secret = create_api_key(organization=organization, name=SHOWN_KEY, terms=terms, actor=ACTOR, at=at)
    return secret


def new_password() -> str:
    """A password for all demo people, different on every machine."""
    return secrets.token_urlsafe(9)


def set_passwords(password_hash: str) -> None:
    """Give everybody of the demo data the same password."""
    for person in [OPERATOR, *(person for company in COMPANIES for person in company.people)]:
        _person(person, password_hash)


def loaded(password: str, *, api_key: str, test_api_key: str) -> Loaded:
    """What to print and to keep for scripts."""
    users = [
        {"email": company.people[0].email, "password": password, "organization": company.name} for company in COMPANIES
    ]
    operator = {"email": OPERATOR.email, "password": password}
    return Loaded(operator=operator, users=users, api_key=api_key, test_api_key=test_api_key)


def _person(person: Person, password_hash: str, zone: str = "UTC") -> User:
    user = User.objects.filter(email__iexact=person.email).first()
    if user is None:
        user = User.objects.create_user(person.email, name=person.name, time_zone=zone)
    EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    user.password = password_hash
    user.save(update_fields=["password"])
    return user


def note_use_of_keys() -> None:
    """Let each key have been used last when its last usage says so."""
    used = UsageEvent.objects.filter(api_key_id=OuterRef("id")).values("api_key_id")
    last = used.annotate(last=Max("occurred_at")).values("last")
    ApiKey.objects.filter(last_used_at__isnull=True).update(last_used_at=Subquery(last))

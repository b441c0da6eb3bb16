"""What a budget is about: from the one text that names it to the columns that find its usage, and back to words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from accounts.models import ApiKey, Membership, Organization, Team
from metering.budgets.errors import InvalidBudget
from metering.budgets.models import Budget, Scope
from metering.price_book import card_for

ANY_MODEL = "/*"
_LONGEST_TAG_KEY, _LONGEST_SUBJECT = 40, 200


@dataclass(frozen=True, slots=True)
class Subject:
    """The columns of a budget that say whose usage it counts."""

    subject_id: UUID | None = None
    tag_key: str = ""
    subject: str = ""


def subject_of(organization_id: UUID, scope: str, text: str, at: datetime) -> Subject:
    """What ``text`` names: nothing for the organization, an id of a team, member or key, a model or ``author/*``, or
    ``name=value`` of a tag.

    Raises InvalidBudget.
    """
    match scope:
        case Scope.ORGANIZATION:
            if text:
                raise _refusal("An organization's budget needs no subject.")
            return Subject()
        case Scope.MODEL:
            return Subject(subject=_model(text, at))
        case Scope.TAG:
            return _tag(text)
        case _:
            return Subject(subject_id=_id_of(organization_id, scope, text))


def text_of(budget: Budget) -> str:
    """The text that :func:`subject_of` read."""
    if budget.scope == Scope.TAG:
        return f"{budget.tag_key}={budget.subject}"
    return budget.subject if budget.subject_id is None else str(budget.subject_id)


def names_of(budgets: Sequence[Budget]) -> dict[UUID, str]:
    """For people: what each budget is about, by the budget's id. Whoever is gone is named by their id."""
    found: dict[str, dict[UUID, str]] = {}
    for scope, names in _FINDERS.items():
        if ids := [each.subject_id for each in budgets if each.scope == scope and each.subject_id is not None]:
            found[scope] = names(ids)
    return {budget.id: _name(budget, found.get(budget.scope, {})) for budget in budgets}


def _name(budget: Budget, found: dict[UUID, str]) -> str:
    if budget.scope == Scope.ORGANIZATION:
        return ""
    if budget.subject_id is None:
        return text_of(budget)
    return found.get(budget.subject_id, str(budget.subject_id))


def _teams(ids: Iterable[UUID]) -> dict[UUID, str]:
    return dict(Team.objects.filter(pk__in=ids).values_list("id", "name"))


def _members(ids: Iterable[UUID]) -> dict[UUID, str]:
    rows = Membership.objects.filter(pk__in=ids).values_list("id", "user__name", "user__email")
    return {id: name or email for id, name, email in rows}


def _keys(ids: Iterable[UUID]) -> dict[UUID, str]:
    """The latest key of each line of rotations."""
    rows = ApiKey.objects.filter(spend_limit_id__in=ids).order_by("created_at", "id")
    return {key.spend_limit_id: f"{key.name} ({key.prefix}…)" for key in rows}


_FINDERS = {Scope.TEAM: _teams, Scope.MEMBER: _members, Scope.API_KEY: _keys}


def _model(text: str, at: datetime) -> str:
    if text.endswith(ANY_MODEL) and 2 < len(text) <= _LONGEST_SUBJECT and text.count("/") == 1:
        return text
    price = card_for(text, at) if text else None
    if price is None:
        raise _refusal(f"There is no model {text[:80]!r}. Name one of the catalogue, or all of an author as author/*.")
    return price.model.id


def _tag(text: str) -> Subject:
    key, equals, value = text.partition("=")
    if not equals or not 0 < len(key) <= _LONGEST_TAG_KEY or not 0 < len(value) <= _LONGEST_SUBJECT or "\x00" in text:
        raise _refusal("Name a tag as name=value, for example feature=search.")
    return Subject(tag_key=key, subject=value)


def _id_of(organization_id: UUID, scope: str, text: str) -> UUID:
    try:
        wanted = UUID(text)
    except ValueError:
        raise _refusal(f"Name the {_WORDS[scope]} by its id.") from None
    twins = Organization.objects.filter(Q(pk=organization_id) | Q(test_twin=organization_id))
    found: UUID | None
    if scope == Scope.TEAM:
        found = Team.objects.active().filter(pk=wanted, organization__in=twins).values_list("id", flat=True).first()
    elif scope == Scope.MEMBER:
        found = Membership.objects.filter(pk=wanted, organization__in=twins).values_list("id", flat=True).first()
    else:
        keys = ApiKey.objects.filter(Q(pk=wanted) | Q(spend_limit_id=wanted), organization_id=organization_id)
        found = keys.values_list("spend_limit_id", flat=True).first()
    if found is None:
        raise _refusal(f"There is no such {_WORDS[scope]} in this organization.")
    return found


_WORDS: dict[str, str] = {Scope.TEAM: "team", Scope.MEMBER: "member", Scope.API_KEY: "API key"}


def _refusal(detail: str) -> InvalidBudget:
    return InvalidBudget(detail, errors=[{"field": "subject", "code": "invalid", "detail": detail}])

"""An organization with something of everything, and the ids of all that it owns."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.apps import apps
from django.db.models import ForeignKey, OneToOneField, UUIDField
from django.utils import timezone

from accounts.models import Organization
from accounts.principal import Actor
from accounts.services import add_member, create_team, fill_team, invite
from accounts.services.invitations import Inviter
from advice.models import Finding, Recommendation, WrittenAdvice
from advice.services import start_what_if
from advice.what_if.change import Change
from advice.what_if.reading import Asked
from coupons.services import create_coupon, redeem_coupon
from coupons.terms import Terms
from credits.models import CreditAccount
from credits.services import HoldRequest, deduct_credits, grant_credits, place_hold
from credits.statements import StatementRequest, write_statements
from metering.services import BudgetTerms, create_budget, create_meter, record_usage
from outbox.webhooks.services import Wish, create_endpoint, send_test
from payments.providers import provider_name_for
from reports.services import subscribe as subscribe_to_report
from reports.services import write_due_reports
from tests.builders import make_key, make_record, make_user
from tests.payments.building import ask_for, with_card

# What a live organization and its twin share on purpose, or what is nobody's.
OUR_APPS = (
    *("accounts", "outbox", "credits", "payments", "tiers"),
    *("coupons", "metering", "openrouter", "reports", "advice"),
)


def furnish(organization: Organization) -> None:
    """One of each kind of thing."""
    now = timezone.now()
    live_id = organization.live_organization_id or organization.id
    add_member(organization_id=live_id, user=make_user(), role="member", actor=Actor("test"), at=now)
    address = f"guest-{organization.mode}-{str(organization.id)[-12:]}@example.com"
    invite(organization_id=live_id, email=address, role="viewer", by=Inviter(Actor("test")), at=now)
    key, _secret = make_key(organization, at=now)
    _furnish_team(organization, key, now)
    _furnish_report(organization, now)
    movement = {"organization_id": organization.id, "reason": "furnish", "actor": "test", "at": now}
    grant_credits(amount=Decimal(100), kind="bonus", **movement)
    deduct_credits(amount=Decimal(1), **movement)
    place_hold(HoldRequest(organization.id, Decimal(1), "furnish", now + timedelta(hours=1)), at=now)
    code = f"FURNISH-{organization.mode}-{str(organization.id)[-12:]}"
    create_coupon(
        code=code, terms=Terms(kind="bonus", amount=Decimal(1)), actor=Actor("test"), at=now, mode=organization.mode
    )
    redeem_coupon(organization_id=organization.id, code=code, actor=Actor("test"), at=now)
    record_usage([make_record(organization, "0.5", occurred_at=now)], at=now)
    everything = {"filter": {"conjunction": "and", "clauses": []}, "aggregation": {"func": "count"}}
    create_meter(organization_id=organization.id, name="everything", at=now, **everything)
    terms = BudgetTerms(name="Furnished", period="monthly", amount=Decimal(50))
    create_budget(organization_id=organization.id, terms=terms, actor="test", at=now)
    # open, with a rest of its life: what a stranger could cancel, pay or mark as paid
    ask_for(organization, "10", at=now)
    with_card(organization, provider=provider_name_for(is_test=organization.is_test))  # one that can be charged now
    write_statements([StatementRequest(organization.id, now - timedelta(days=30), now)], at=now)
    hooks = Wish(url="https://example.com/hooks", events=["credits.granted"])
    budget = BudgetTerms(name="Month", period="monthly", amount=Decimal(50))
    create_budget(organization_id=organization.id, terms=budget, actor="test", at=now)
    endpoint = create_endpoint(organization_id=organization.id, wish=hooks, actor=Actor("test"), at=now)
    send_test(endpoint_id=endpoint.id, organization_id=organization.id, actor=Actor("test"), at=now)
    _furnish_advice(organization, now)


def _furnish_advice(organization: Organization, now) -> None:
    asked, change = Asked(now - timedelta(days=1), now, {}), Change(markup_percent=Decimal(5))
    start_what_if(organization_id=organization.id, asked=asked, change=change, requested_by="test", at=now)
    evidence = {"model": "openai/gpt-4o-mini", "max_tokens": 320, "events": 300, "cut": 3, "median": 90, "longest": 900}
    Recommendation.objects.create(
        organization=organization,
        kind=Finding.OUTPUT_LIMIT,
        subject=evidence["model"],
        saving=Decimal(2),
        confidence="medium",
        evidence=evidence,
        found_at=now,
        computed_at=now,
    )
    WrittenAdvice.objects.create(
        organization=organization,
        state="failed",
        figures={},
        fingerprint="",
        requested_by=f"person of {organization.name}",
        finished_at=now,
    )


def _furnish_report(organization: Organization, now) -> None:
    """One that is sent, and one that was written; they are the live organization's."""
    if organization.is_test:
        return
    member = organization.memberships.order_by("created_at").first()
    wanted = subscribe_to_report(
        organization_id=organization.id,
        cadence="weekly",
        format="pdf",
        member_ids=[member.id],
        actor=Actor("test"),
        at=now,
    )
    write_due_reports(at=wanted.next_at)


def _furnish_team(organization: Organization, key, now) -> None:
    """Teams are the live organization's."""
    if organization.is_test:
        return
    who = {"organization_id": organization.id, "actor": Actor("test"), "at": now}
    team = create_team(name=f"Team of {organization.name}", **who)
    fill_team(team_id=team.id, member_ids=[organization.memberships.first().id], key_ids=[key.id], **who)


def ids_of(organization: Organization) -> set[UUID]:
    """Ids of what belongs to the organization: the first and the last row of every table that names one."""
    return set().union(*ids_by_table(organization).values())


def ids_by_table(organization: Organization) -> dict[str, set[UUID]]:
    """``ids_of`` by the table that they stand in."""
    found = {model._meta.db_table: _ids(model, organization) for model in _models()}
    found[Organization._meta.db_table] = {organization.id}
    return found


def _models():
    return [model for app in OUR_APPS for model in apps.get_app_config(app).get_models()]


def _ids(model, organization) -> set[UUID]:
    owners = ("organization", "organization_id", "account", "endpoint", "subscription")
    owner = next((name for name in owners if _has(model, name)), None)
    if owner is None or not isinstance(model._meta.pk, UUIDField | OneToOneField | ForeignKey):
        return set()
    if owner == "account" and model._meta.get_field("account").related_model is not CreditAccount:
        return set()
    if owner in ("endpoint", "subscription"):
        owner = f"{owner}__organization"
    keys = model._base_manager.filter(**{owner: organization.id}).order_by("pk").values_list("pk", flat=True)
    return {key for key in (keys.first(), keys.last()) if key}


def _has(model, name: str) -> bool:
    return any(field.name == name for field in model._meta.get_fields())

"""Recommendations: found by a job, decided on by people, carried out by a routing rule that can be undone."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from accounts.entitlements import require
from accounts.models import Organization
from accounts.principal import Actor
from accounts.services import lock_organization
from advice.errors import NotApplicable, RecommendationDecided, UnknownRecommendation
from advice.findings.found import WINDOW, Found
from advice.findings.review import review
from advice.models import Finding, Recommendation, RecommendationReview, RecommendationState
from advice.services.rules import follow, take_out
from core.money import to_wire
from metering.models import UsageDay
from openrouter.models import RoutingRule
from outbox.services import publish
from outbox.taskruns import apart
from tiers.errors import NoTier
from tiers.permits import included

ENTITLEMENT, WITH_FIGURES = "recommendations", "recommendations"
BY_A_RULE = (Finding.CHEAPER_MODEL, Finding.FREE_MODEL, Finding.OUTPUT_LIMIT)
_EVERY = timedelta(hours=24)
_STATE = RecommendationState


def review_due(*, at: datetime, limit: int = 200) -> int:
    """Look through the usage of up to ``limit`` organizations whose turn it is, each apart; how many.

    Those without a tier and those whose review fails stay due: they are passed over, so that others have their turn.
    """
    used = UsageDay.objects.filter(day__gte=(at - WINDOW).date()).values("organization_id")
    fresh = RecommendationReview.objects.filter(computed_at__gt=at - _EVERY).values("organization_id")
    due = Organization.objects.live().filter(id__in=used).exclude(id__in=fresh).order_by("id")  # sandbox money is none
    done = 0
    for organization_id in due.values_list("id", flat=True):
        if done >= limit:
            break
        with apart("advice.review_failed", organization_id):
            done += _review(organization_id, at)
    return done


def review_usage(*, organization_id: UUID, at: datetime) -> list[Recommendation]:
    """Look through an organization's last thirty days, keep what is found and tell what is new; the open ones."""
    if not _review(organization_id, at):
        return []
    return list(Recommendation.objects.filter(organization_id=organization_id, state=_STATE.OPEN).order_by("-saving"))


def _review(organization_id: UUID, at: datetime) -> bool:
    """Whether it could be looked through: without a tier nothing has a price to compare with."""
    try:
        seen = review(organization_id, at)
    except NoTier:
        return False
    with transaction.atomic():
        RecommendationReview.objects.update_or_create(
            organization_id=organization_id,
            defaults={
                "starts_at": seen.start,
                "ends_at": seen.end,
                "events": seen.events,
                "spend": seen.spend,
                "computed_at": at,
            },
        )
        new = _keep(organization_id, seen.found, at)
        if new:
            _tell_of_new(organization_id, new, at)
    return True


def dismiss_recommendation(
    *, recommendation_id: UUID, organization_id: UUID, reason: str, actor: Actor, at: datetime
) -> Recommendation:
    """Let it be, whatever later usage says, until it is opened again. Raises RecommendationDecided."""
    return _decide(recommendation_id, organization_id, actor, at, of=_STATE.OPEN, to=_STATE.DISMISSED, reason=reason)


def reopen_recommendation(
    *, recommendation_id: UUID, organization_id: UUID, actor: Actor, at: datetime
) -> Recommendation:
    """Take a dismissal back. Raises RecommendationDecided."""
    return _decide(recommendation_id, organization_id, actor, at, of=_STATE.DISMISSED, to=_STATE.OPEN)


def apply_recommendation(
    *, recommendation_id: UUID, organization_id: UUID, actor: Actor, at: datetime
) -> Recommendation:
    """Have the gateway follow it in the organization's own calls, from the next second on.

    Raises NotInTier, RecommendationDecided, NotApplicable (it is for people to do, or an operator routes these calls
    already), InvalidRoutingRule.
    """
    require(organization_id, ENTITLEMENT, WITH_FIGURES)
    with transaction.atomic():
        lock_organization(organization_id)
        row = _decide(recommendation_id, organization_id, actor, at, of=_STATE.OPEN, to=_STATE.APPLIED)
        if row.kind not in BY_A_RULE:
            raise NotApplicable()
        row.rule_id = follow(row, at).pk
        row.save(update_fields=["rule_id"])
    return row


def withdraw_recommendation(
    *, recommendation_id: UUID, organization_id: UUID, actor: Actor, at: datetime
) -> Recommendation:
    """Undo :func:`apply_recommendation`: calls are routed as before. Raises RecommendationDecided."""
    with transaction.atomic():
        lock_organization(organization_id)
        row = _decide(recommendation_id, organization_id, actor, at, of=_STATE.APPLIED, to=_STATE.OPEN)
        rule_id, row.rule_id = row.rule_id, None
        row.save(update_fields=["rule_id"])
        if rule_id is not None:
            take_out(row, rule_id, at)
    return row


# ---------------------------------------------------------------- what is found


def _keep(organization_id: UUID, found: Iterable[Found], at: datetime) -> list[Recommendation]:
    """Bring the rows to what was found; those that are new to people."""
    rows = Recommendation.objects.select_for_update().filter(organization_id=organization_id)
    known = {(row.kind, row.subject): row for row in rows}
    rules = set(RoutingRule.objects.filter(organization_id=organization_id).values_list("id", flat=True))
    new, seen = [], set()
    for each in found:
        key = (str(each.kind), each.subject)
        seen.add(key)
        row = known.get(key)
        if row is None:
            row = Recommendation(organization_id=organization_id, kind=each.kind, subject=each.subject, found_at=at)
            new.append(row)
        elif row.state == _STATE.APPLIED and row.rule_id in rules:
            continue  # it is followed; its figures are those it was applied for
        elif row.state in (_STATE.GONE, _STATE.APPLIED):
            row.state, row.found_at, row.rule_id = _STATE.OPEN, at, None
            new.append(row)
        row.saving, row.confidence, row.evidence, row.computed_at = each.saving, each.confidence, each.evidence, at
        row.save()
    gone = [row.pk for key, row in known.items() if key not in seen and row.state == _STATE.OPEN]
    Recommendation.objects.filter(pk__in=gone).update(state=_STATE.GONE, computed_at=at)
    return new


def _tell_of_new(organization_id: UUID, new: list[Recommendation], at: datetime) -> None:
    best = max(new, key=lambda row: row.saving)
    has_figures = bool(included(organization_id, ENTITLEMENT, [WITH_FIGURES]))
    publish(
        type="recommendations.found",
        organization_id=organization_id,
        data={
            "count": len(new),
            "saving": best.saving if has_figures else None,
            "kind": best.kind,
            "recommendation_id": best.pk,
        },
        actor="savings review",
        at=at,
    )


# ---------------------------------------------------------------- what people decide


@transaction.atomic
def _decide(
    recommendation_id: UUID, organization_id: UUID, actor: Actor, at: datetime, *, of: str, to: str, reason: str = ""
) -> Recommendation:
    rows = Recommendation.objects.select_for_update()
    row = rows.filter(pk=recommendation_id, organization_id=organization_id).first()
    if row is None:
        raise UnknownRecommendation()
    if row.state != of:
        raise RecommendationDecided(f"This recommendation is {row.state}, not {of}.", state=row.state)
    before, row.state = row.state, to
    row.decided_at, row.decided_by, row.reason = at, actor.label[:120], reason.strip()[:300]
    row.save(update_fields=["state", "decided_at", "decided_by", "reason"])
    facts = {"recommendation_id": row.pk, "kind": row.kind, "subject": row.subject, "saving": to_wire(row.saving)}
    publish(
        type="recommendation.decided",
        organization_id=organization_id,
        data={**facts, "from": before, "to": to, "reason": row.reason},
        actor=actor,
        at=at,
    )
    return row

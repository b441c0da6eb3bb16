"""Every write of reports."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from django.db import IntegrityError, transaction

from accounts.entitlements import SCHEDULED_REPORTS, TEAMS, NotInTier, require
from accounts.models import Membership, Organization, Team
from accounts.principal import Actor
from core.errors import InvalidRequest, NotFound
from outbox.services import publish
from reports.errors import NobodyToWriteTo, ReportWanted
from reports.figures import Scope, figures_of
from reports.letters import write_to
from reports.models import Cadence, Format, Recipient, Report, ReportSubscription
from reports.periods import due_at, period_of, today_in
from tiers.permits import first_day_kept

log = structlog.get_logger(__name__)
# How many missed periods one run makes up for; the next run goes on.
_AT_ONCE = 4
_LATER = timedelta(minutes=10)


@transaction.atomic
def subscribe(
    *,
    organization_id: UUID,
    cadence: str,
    format: str,
    member_ids: Collection[UUID],
    actor: Actor,
    at: datetime,
    team_id: UUID | None = None,
) -> ReportSubscription:
    """Send a report of the organization, or of a team, to these members; the first is of the period that runs now.

    Raises NotInTier, ReportWanted, NobodyToWriteTo, NotFound, InvalidRequest.
    """
    organization = _organization(organization_id)
    if cadence not in Cadence.values or format not in Format.values:
        raise InvalidRequest("A report is weekly or monthly, with a pdf or a csv file.")
    team = None if team_id is None else organization.teams.active().filter(id=team_id).first()
    if team_id is not None and team is None:
        raise NotFound("There is no such team.")
    _require(organization.id, format, has_team=team is not None)
    wanted = _new(organization, team, cadence, format, at)
    _set_recipients(wanted, member_ids)
    _tell(wanted, "report.subscribed", actor, at)
    return wanted


def _new(organization: Organization, team: Team | None, cadence: str, format: str, at: datetime) -> ReportSubscription:
    zone = ZoneInfo(organization.time_zone)
    period = period_of(today_in(zone, at), cadence)
    wanted = ReportSubscription(
        organization=organization,
        team=team,
        cadence=cadence,
        format=format,
        first_day=period.first,
        next_day=period.first,
        next_at=due_at(period, zone),
        created_at=at,
    )
    try:
        with transaction.atomic():
            wanted.save(force_insert=True)
    except IntegrityError:
        raise ReportWanted() from None
    return wanted


@transaction.atomic
def change_recipients(
    *, subscription_id: UUID, organization_id: UUID, member_ids: Collection[UUID], actor: Actor, at: datetime
) -> ReportSubscription:
    """Send it to just these members. Who has unsubscribed stays so. Raises NotFound, NobodyToWriteTo."""
    wanted = _locked(subscription_id, organization_id)
    _set_recipients(wanted, member_ids)
    _tell(wanted, "report.recipients_changed", actor, at)
    return wanted


@transaction.atomic
def cancel(*, subscription_id: UUID, organization_id: UUID, actor: Actor, at: datetime) -> None:
    """Send it no longer; what was written stays. Raises NotFound."""
    wanted = _locked(subscription_id, organization_id)
    _tell(wanted, "report.cancelled", actor, at)
    wanted.delete()


@transaction.atomic
def unsubscribe(*, recipient_id: UUID, at: datetime) -> Recipient:
    """Write to this person no longer. Twice is as good as once. Raises NotFound."""
    recipient = _recipient(recipient_id)
    if recipient.unsubscribed_at is None:
        recipient.unsubscribed_at = at
        recipient.save(update_fields=["unsubscribed_at"])
        _tell(recipient.subscription, "report.unsubscribed", Actor(recipient.membership.user.email), at)
    return recipient


@transaction.atomic
def subscribe_again(*, recipient_id: UUID, user_id: int, at: datetime) -> Recipient:
    """Write to this person again, at their own wish. Raises NotFound for anybody else's."""
    recipient = _recipient(recipient_id)
    if recipient.membership.user_id != user_id:
        raise NotFound()
    recipient.unsubscribed_at = None
    recipient.save(update_fields=["unsubscribed_at"])
    return recipient


def write_due_reports(*, at: datetime, limit: int = 100) -> int:
    """Write the reports that are due by ``at`` and the e-mails with them; how many reports.

    Each period of a subscription is written once, however many run at once, and late when nobody ran. What the tier
    does not include is passed over.
    """
    due = ReportSubscription.objects.filter(next_at__lte=at, organization__is_suspended=False).order_by("next_at")
    ids = list(due.values_list("id", flat=True)[:limit])
    return sum(_write_safely(subscription_id, at) for subscription_id in ids)


def _write_safely(subscription_id: UUID, at: datetime) -> int:
    """One that fails keeps no other waiting, and is tried again a little later."""
    try:
        return sum(_write_next(subscription_id, at) for _ in range(_AT_ONCE))
    except Exception:
        log.exception("reports.failed", subscription=str(subscription_id))
        ReportSubscription.objects.filter(id=subscription_id).update(next_at=at + _LATER)
        return 0


@transaction.atomic
def _write_next(subscription_id: UUID, at: datetime) -> int:
    """The next report of a subscription, if it is due and nobody else is at it."""
    rows = ReportSubscription.objects.select_related("organization", "team").select_for_update(
        skip_locked=True, of=("self",)
    )
    wanted = rows.filter(id=subscription_id, next_at__lte=at).first()
    if wanted is None:
        return 0
    zone = ZoneInfo(wanted.organization.time_zone)
    period = period_of(wanted.next_day, wanted.cadence)
    is_due = due_at(period, zone) <= at  # the organization may have moved to another zone
    written = 0
    if is_due:
        written = _write(wanted, at) if _is_included(wanted, at) else 0
        period = period_of(period.after, wanted.cadence)
        wanted.next_day = period.first
    wanted.next_at = due_at(period, zone)
    wanted.save(update_fields=["next_day", "next_at", "refused_at"])
    return written


def _write(wanted: ReportSubscription, at: datetime) -> int:
    organization = wanted.organization
    zone = ZoneInfo(organization.time_zone)
    period = period_of(wanted.next_day, wanted.cadence)
    kept = first_day_kept(organization.id, today_in(zone, at))
    recipients = list(
        wanted.recipients.filter(unsubscribed_at__isnull=True, membership__user__is_active=True).select_related(
            "membership__user"
        )
    )
    if not recipients:
        return 0
    report, is_new = Report.objects.get_or_create(
        subscription=wanted,
        first_day=period.first,
        defaults={
            "organization": organization,
            "subject": wanted.subject,
            "team_id": wanted.team_id,
            "cadence": wanted.cadence,
            "format": wanted.format,
            "last_day": period.last,
            "time_zone": organization.time_zone,
            "figures": figures_of(Scope(organization, wanted.team), period, kept=kept),
            "recipients": len(recipients),
            "created_at": at,
        },
    )
    if is_new:
        write_to(report, recipients, at=at)
    return int(is_new)


def _is_included(wanted: ReportSubscription, at: datetime) -> bool:
    try:
        _require(wanted.organization_id, wanted.format, has_team=wanted.team_id is not None)
    except NotInTier:
        wanted.refused_at = at
        return False
    wanted.refused_at = None
    return wanted.team is None or wanted.team.archived_at is None


def _require(organization_id: UUID, format: str, *, has_team: bool) -> None:
    require(organization_id, SCHEDULED_REPORTS, format)
    if has_team:
        require(organization_id, TEAMS)


def _set_recipients(wanted: ReportSubscription, member_ids: Collection[UUID]) -> None:
    members = list(Membership.objects.filter(organization_id=wanted.organization_id, id__in=member_ids))
    if len(members) != len(set(member_ids)):
        raise NotFound("There is no such member.")
    if not members:
        raise NobodyToWriteTo()
    wanted.recipients.exclude(membership__in=members).filter(unsubscribed_at__isnull=True).delete()
    Recipient.objects.bulk_create(
        [Recipient(subscription=wanted, membership=member) for member in members], ignore_conflicts=True
    )


def _organization(organization_id: UUID) -> Organization:
    """The live one: people belong to it, and its books are what is reported."""
    organization = Organization.objects.live().filter(id=organization_id).first()
    if organization is None:
        raise NotFound()
    return organization


def _locked(subscription_id: UUID, organization_id: UUID) -> ReportSubscription:
    rows = ReportSubscription.objects.select_related("organization", "team").select_for_update(of=("self",))
    wanted = rows.filter(id=subscription_id, organization_id=organization_id).first()
    if wanted is None:
        raise NotFound()
    return wanted


def _recipient(recipient_id: UUID) -> Recipient:
    rows = Recipient.objects.select_related("subscription__organization", "subscription__team", "membership__user")
    recipient = rows.select_for_update(of=("self",)).filter(id=recipient_id).first()
    if recipient is None:
        raise NotFound()
    return recipient


def _tell(wanted: ReportSubscription, type: str, actor: Actor, at: datetime) -> None:
    data = {"subscription_id": str(wanted.id), "subject": wanted.subject, "cadence": wanted.cadence}
    publish(type=type, organization_id=wanted.organization_id, data=data, actor=actor, at=at)

"""The e-mails of reports: figures in a few lines, the file, and a way out that needs no sign-in."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.urls import reverse

from core import amounts
from core.money import parse_money
from outbox.mail import queue_email
from reports.figures import Shown, shown
from reports.models import Recipient, Report

_SALT = "reports.unsubscribe"


def write_to(report: Report, recipients: Sequence[Recipient], *, at: datetime) -> None:
    """A letter to each, in the caller's transaction; once, however often it is asked for."""
    for recipient in recipients:
        link = unsubscribe_link(recipient.id)
        queue_email(
            key=f"report:{report.id}:{recipient.id}",
            recipient=recipient.membership.user.email,
            subject=f"{shown(report).title}, {_days(report)}",
            body=_body(report, recipient, link),
            organization_id=report.organization_id,
            at=at,
            # RFC 8058: the mail program's own button sends one request and needs nobody to sign in.
            headers={"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
            attachment=f"report:{report.id}",
        )


def unsubscribe_link(recipient_id: UUID) -> str:
    """An address that takes just this person off just this report; nobody can make another's."""
    token = signing.Signer(salt=_SALT).sign(recipient_id.hex)
    return f"{settings.PUBLIC_URL}{reverse('report_unsubscribe', args=[token])}"


def recipient_of(token: str) -> UUID | None:
    """Whom a link is for; None for one that is not ours."""
    try:
        return UUID(hex=signing.Signer(salt=_SALT).unsign(token))
    except (signing.BadSignature, ValueError):
        return None


def _body(report: Report, recipient: Recipient, link: str) -> str:
    facts = shown(report)
    user = recipient.membership.user
    page = f"{settings.PUBLIC_URL}{reverse('report', args=[report.id])}"
    lines = [
        f"Hello {user.name or user.email},",
        f"{facts.title}, {_days(report)} ({report.time_zone}).",
        _summary(facts),
        f"The {report.format.upper()} is attached; the same as a page: {page}",
        f"You get this because a colleague put you on the list. To get this report no longer: {link}",
    ]
    return "\n\n".join(lines) + "\n"


def _summary(facts: Shown) -> str:
    total = facts.figures["total"]
    change = "" if facts.change is None else f" ({facts.change:+d} % against the period before)"
    charge = amounts.readable(parse_money(total["charge"]))
    lines = [
        f"Charged: {charge}{change}",
        f"Calls and events: {total['events']:,}, of them failed: {total['errors']:,}",
        f"Tokens: {facts.tokens:,}",
    ]
    for heading, breakdown in facts.breakdowns[:1]:
        lines += ["", f"{heading}:"]
        lines += [f"  {line['name']}: {amounts.readable(parse_money(line['charge']))}" for line in breakdown[:5]]
    return "\n".join(lines)


def _days(report: Report) -> str:
    return f"{report.first_day:%d %B} to {report.last_day:%d %B %Y}"

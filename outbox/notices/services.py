"""Keeping news, remembering what was seen, and writing to those who want it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.contacts import billing_contacts, managers_of
from accounts.models import Organization, User
from outbox.mail import queue_email
from outbox.models import DomainEvent
from outbox.notices.kinds import BILLING, Kind, Words, kind_of, source_of
from outbox.notices.models import Notice, NoticeChoice, NoticeReader

NEWS_FOR = timedelta(days=7)  # what is found out later is told on the page, and written to nobody


@transaction.atomic
def keep_notice(event: DomainEvent) -> None:
    """Tell the people of the organization, once, however often the fact is handed on.

    Days are told in the ``zone`` that the organization had then, unless the fact names another.
    """
    source = source_of(event.type)
    if source is None or event.organization_id is None:
        return
    organization = Organization.objects.get(pk=event.organization_id)
    facts = {"zone": organization.time_zone} | event.data
    words = source.words(facts)
    if words is None:
        return
    _notice, is_new = Notice.objects.get_or_create(
        event_id=event.id,
        defaults={
            "organization_id": event.organization_id,
            "type": event.type,
            "data": facts,
            "created_at": event.created_at,
        },
    )
    if is_new:
        _write(kind_of(source.kind), words, event, organization)


def _write(kind: Kind, words: Words, event: DomainEvent, organization: Organization) -> None:
    if kind.writes_itself or organization.is_test or event.created_at < timezone.now() - NEWS_FOR:
        return
    people = billing_contacts(organization.id) if kind.audience == BILLING else managers_of(organization.id)
    for person in wanting(people, kind.slug):
        queue_email(
            key=f"notice:{event.id}:{person.pk}",
            recipient=person.email,
            subject=f"{organization.name}: {words.title}",
            body=_letter(person, words),
            organization_id=organization.id,
            at=event.created_at,
        )


def _letter(person: User, words: Words) -> str:
    address = settings.PUBLIC_URL
    lines = [f"Hello {person.name or person.email},", words.title + ".", words.text]
    if words.link:
        lines.append(f"{address}{words.link}")
    lines.append(f"You choose which of these letters you get: {address}/notifications/settings/")
    return "\n\n".join(line for line in lines if line) + "\n"


def wanting(people: Iterable[User], kind: str) -> list[User]:
    """Those of ``people`` who want this kind of news by e-mail."""
    people = list(people)
    rows = NoticeChoice.objects.filter(kind=kind, user__in=people).values_list("user_id", "by_email")
    chosen = dict(rows)
    return [person for person in people if chosen.get(person.pk, kind_of(kind).by_email)]


def note_seen(*, user_id: int, organization_id: UUID, at: datetime) -> None:
    """The person has seen all news up to ``at``."""
    NoticeReader.objects.update_or_create(user_id=user_id, organization_id=organization_id, defaults={"seen_at": at})


@transaction.atomic
def choose_emails(*, user_id: int, by_email: Mapping[str, bool]) -> None:
    """Remember which kinds a person wants by e-mail."""
    NoticeChoice.objects.bulk_create(
        [NoticeChoice(user_id=user_id, kind=kind_of(slug).slug, by_email=wanted) for slug, wanted in by_email.items()],
        update_conflicts=True,
        unique_fields=["user", "kind"],
        update_fields=["by_email"],
    )

"""What was told, who has seen it, and who wants it by e-mail."""

from django.conf import settings
from django.db import models

from accounts.models import Organization
from core.ids import uuid7


class Notice(models.Model):
    """One piece of news for the people of an organization. Its words are made when it is read."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="notices", db_index=False)
    event_id = models.UUIDField(unique=True)  # the fact that it tells of: told once
    type = models.CharField(max_length=60)  # of that fact
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["organization", "-created_at", "-id"], name="notice_newest")]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class NoticeReader(models.Model):
    """Up to when a person has seen the news of an organization."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="+")
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "organization"], name="notice_reader_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.seen_at:%Y-%m-%d %H:%M:%S}"


class NoticeChoice(models.Model):
    """A person's wish about one kind of news; without a row the kind's own default holds."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=40)
    by_email = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="notice_choice_once")]

    def __str__(self) -> str:
        return f"{self.kind}: {'e-mail' if self.by_email else 'no e-mail'}"

"""Which reports are wanted by whom, and those that were written."""

from django.db import models
from django.utils import timezone

from accounts.models import Membership, Organization, Team
from core.ids import uuid7


class Cadence(models.TextChoices):
    """How often."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Format(models.TextChoices):
    """What is attached to the e-mail."""

    PDF = "pdf", "PDF"
    CSV = "csv", "CSV"


class ReportSubscription(models.Model):
    """A report that a live organization wants every week or month: of all of it, or of a team or department.

    Weeks begin on Monday, months on the first, both at midnight of the organization's zone; the report of one is
    written at seven in the morning after it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="report_subscriptions")
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="+")  # null: all of it
    cadence = models.CharField(max_length=7, choices=Cadence)
    format = models.CharField(max_length=3, choices=Format, default=Format.PDF)
    first_day = models.DateField()  # of the first period that is reported
    next_day = models.DateField()  # of the first period that is not written yet
    next_at = models.DateTimeField()  # when that is due
    refused_at = models.DateTimeField(null=True, blank=True)  # the tier did not include it when it was last due
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "report subscription"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "team", "cadence", "format"], name="report_wanted_once", nulls_distinct=False
            ),
        ]
        indexes = [models.Index(fields=["next_at"], name="report_due")]

    def __str__(self) -> str:
        return f"{self.get_cadence_display()} report of {self.subject}"

    @property
    def subject(self) -> str:
        """What it is about."""
        return self.team.name if self.team else self.organization.name


class Recipient(models.Model):
    """A member who gets a report until they unsubscribe or leave."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    subscription = models.ForeignKey(ReportSubscription, models.CASCADE, related_name="recipients")
    membership = models.ForeignKey(Membership, models.CASCADE, related_name="+")
    unsubscribed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription", "membership"], name="report_recipient_once"),
        ]

    def __str__(self) -> str:
        return f"{self.membership_id} of {self.subscription_id}"


class Report(models.Model):
    """The figures of one period as they were when it was written; never changed."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="reports")
    subscription = models.ForeignKey(ReportSubscription, models.SET_NULL, null=True, related_name="reports")
    subject = models.CharField(max_length=120)
    team_id = models.UUIDField(null=True)
    cadence = models.CharField(max_length=7, choices=Cadence)
    format = models.CharField(max_length=3, choices=Format)
    first_day = models.DateField()
    last_day = models.DateField()
    time_zone = models.CharField(max_length=64)
    figures = models.JSONField()  # see reports.figures; amounts as strings
    recipients = models.PositiveIntegerField(default=0)  # how many it was written to
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-first_day", "-id"]
        constraints = [
            # whatever runs twice or at once: a period is reported once
            models.UniqueConstraint(fields=["subscription", "first_day"], name="report_of_period_once"),
        ]
        indexes = [models.Index(fields=["organization", "-first_day", "-id"], name="report_newest")]

    def __str__(self) -> str:
        return f"{self.get_cadence_display()} report of {self.subject}, {self.first_day:%Y-%m-%d}"

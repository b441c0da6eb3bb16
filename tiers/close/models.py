"""What was done at each boundary."""

from decimal import Decimal

from django.db import models
from django.db.models import Q

from accounts.models import Organization
from core.ids import uuid7
from core.money import MoneyField
from credits.models import Statement
from tiers.close.querysets import PeriodCloseQuerySet


class PeriodClose(models.Model):
    """The end of one period of one subscription; its row is the only owner of that boundary. Amounts in USD.

    ``expired`` and ``rolled_over`` stay empty while holds still reserve credit that ended with the period: what they
    give back is not known yet.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="period_closes", db_index=False)
    subscription = models.ForeignKey("tiers.Subscription", models.PROTECT, related_name="closes", db_index=False)
    period_index = models.IntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    # The row in force from ``ends_at`` on: the same one, another, or none.
    following = models.ForeignKey(
        "tiers.Subscription", models.PROTECT, null=True, related_name="opened_by", db_index=False
    )
    expired = MoneyField(null=True)  # allocated credit that ended with the period, before rollover
    rolled_over = MoneyField(null=True)
    allocated = MoneyField(default=Decimal(0))  # at once; what is paid for first comes with its payment
    overage_billed = MoneyField(default=Decimal(0))
    payment_id = models.UUIDField(null=True)  # for the period that begins
    overage_payment_id = models.UUIDField(null=True)
    was_suspended = models.BooleanField(default=False, db_default=False)  # then nothing was given and nothing asked for
    statement = models.OneToOneField(Statement, models.PROTECT, null=True, related_name="period_close")
    closed_at = models.DateTimeField()

    objects = PeriodCloseQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription", "period_index"], name="period_closed_once"),
            models.CheckConstraint(
                condition=Q(rolled_over__isnull=True, expired__isnull=True)
                | Q(rolled_over__gte=0, expired__gte=0, overage_billed__gte=0),
                name="period_close_not_negative",
            ),
        ]
        indexes = [
            # what an organization's wallet still waits for, and the statements to be written in order
            models.Index(
                fields=["organization", "ends_at"], condition=Q(statement__isnull=True), name="period_close_unwritten"
            ),
        ]

    def __str__(self) -> str:
        return f"period {self.period_index} of {self.subscription}"

    @property
    def is_waiting(self) -> bool:
        """Whether holds must end before the rollover is known."""
        return self.rolled_over is None

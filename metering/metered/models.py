"""What the meters of tiers have counted and charged."""

from decimal import Decimal

from django.db import models

from accounts.models import Organization
from core.ids import uuid7
from core.money import MoneyField


class MeteredCounter(models.Model):
    """One meter of one organization in one period of its subscription. Amounts in USD.

    ``amount`` is the price of ``quantity``, and of a closed period the ``minimum`` at least: ``charged`` of it was
    taken from credits (and overage), ``owed`` is billed when the period is closed. Written under the lock of the
    organization's wallet.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+", db_index=False)
    subscription_id = models.UUIDField()
    period_index = models.IntegerField()
    meter_id = models.UUIDField()
    meter_name = models.CharField(max_length=128)
    mode = models.CharField(max_length=8)  # credits, priced
    price = models.JSONField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    quantity = models.DecimalField(max_digits=40, decimal_places=18, default=Decimal(0))
    amount = MoneyField(default=Decimal(0))
    charged = MoneyField(default=Decimal(0))
    owed = MoneyField(default=Decimal(0))
    minimum = MoneyField(null=True)  # due for the period; null while it runs, and where none is

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "subscription_id", "period_index", "meter_id"], name="metered_counter_once"
            ),
            models.CheckConstraint(
                condition=models.Q(amount=models.F("charged") + models.F("owed")), name="metered_counter_adds_up"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.meter_name} of {self.organization_id} in period {self.period_index}"


class MeteredCharge(models.Model):
    """One step of a counter: what an event, its being taken back, or the period's minimum changed. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+", db_index=False)
    counter = models.ForeignKey(MeteredCounter, models.PROTECT, related_name="charges", db_index=False)
    event_id = models.UUIDField(null=True)  # null: the period's minimum
    cause = models.CharField(max_length=8)  # use, void, minimum
    quantity = models.DecimalField(max_digits=40, decimal_places=18)  # signed
    before = models.DecimalField(max_digits=40, decimal_places=18)  # the counter's quantity before it
    amount = MoneyField()  # signed: price after − price before
    owed = MoneyField(default=Decimal(0))  # the part of it that is billed instead of charged
    entry_id = models.UUIDField(null=True)  # the ledger's charge, where credits paid
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "event_id"], name="metered_charge_of_event"),
            # what a charge of the ledger was for, and the latest charges of a counter
            models.Index(fields=["organization", "entry_id"], name="metered_charge_of_entry"),
            models.Index(fields=["counter", "-id"], name="metered_charge_latest"),
        ]

    def __str__(self) -> str:
        return f"{self.cause} {self.quantity}"

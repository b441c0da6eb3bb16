"""What an operator fills in to move money. A reason is always needed; it is on the customer's own ledger."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django import forms

from core.admin import MomentInput
from core.forms import PlainDecimalField
from core.ids import uuid7
from core.money import USD_DIGITS, USD_PLACES, USD_STEP
from credits import services
from credits.models import LedgerEntry, LotKind
from credits.services import Posting

# A tier's allocation and a refund have rules of their own; an operator gives presents and enters purchases.
_GRANTABLE = [(kind.value, kind.label) for kind in (LotKind.BONUS, LotKind.PURCHASED, LotKind.ALLOCATED)]


def _amount(**options: Any) -> PlainDecimalField:
    return PlainDecimalField(
        label="Amount in USD", min_value=USD_STEP, max_digits=USD_DIGITS, decimal_places=USD_PLACES, **options
    )


class MovementForm(forms.Form):
    """One movement. ``key`` makes a form that is sent twice move money once."""

    title: ClassVar[str] = ""
    reason = forms.CharField(max_length=300, widget=forms.Textarea(attrs={"rows": 2, "cols": 60}))
    key = forms.CharField(widget=forms.HiddenInput, initial=lambda: f"admin:{uuid7()}", max_length=80)

    def move(self, *, organization_id: UUID, actor: str, at: datetime) -> Posting:
        """Call the service. Raises what it raises."""
        data = dict(self.cleaned_data)
        return self.service(organization_id=organization_id, actor=actor, at=at, **data)

    @property
    def service(self) -> Callable[..., Posting]:
        """The service that moves the money."""
        raise NotImplementedError


class GrantForm(MovementForm):
    """Add a lot of credit."""

    title = "Add credit"
    field_order = ["amount", "kind", "expires_at", "reason"]
    amount = _amount()
    kind = forms.ChoiceField(choices=_GRANTABLE)
    expires_at = forms.DateTimeField(
        required=False, label="Expires (UTC)", widget=MomentInput, help_text="Empty: never."
    )
    service = staticmethod(services.grant_credits)


class DeductForm(MovementForm):
    """Take credit."""

    title = "Deduct credit"
    field_order = ["amount", "allow_overage", "reason"]
    amount = _amount()
    allow_overage = forms.BooleanField(
        required=False, label="May go below zero, within the organization's overage limit"
    )
    service = staticmethod(services.deduct_credits)


class AdjustForm(MovementForm):
    """Correct a balance, up or down."""

    title = "Adjust the balance"
    field_order = ["amount", "reason"]
    amount = PlainDecimalField(
        label="Amount in USD",
        max_digits=USD_DIGITS,
        decimal_places=USD_PLACES,
        help_text="Positive adds credit, negative takes it. For corrections: it is an adjustment on the statement.",
    )
    service = staticmethod(services.adjust_balance)

    def clean_amount(self) -> Decimal:
        """Something moves."""
        amount: Decimal = self.cleaned_data["amount"]
        if not amount:
            raise forms.ValidationError("The amount is not zero.")
        return amount


class RefundForm(MovementForm):
    """Give a charge back."""

    title = "Refund"
    field_order = ["amount", "reason"]
    amount = _amount(required=False, help_text="Empty: all that is left of the charge.")

    def __init__(self, *args: Any, entry: LedgerEntry, **options: Any) -> None:
        super().__init__(*args, **options)
        self._entry = entry

    def move(self, *, organization_id: UUID, actor: str, at: datetime) -> Posting:
        """Give it back to the lots it came from."""
        data = self.cleaned_data
        return services.refund_charge(
            organization_id=organization_id,
            entry_id=self._entry.id,
            amount=data["amount"],
            reason=data["reason"],
            key=data["key"],
            actor=actor,
            at=at,
        )

"""Forms of payments."""

from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from core.forms import PlainDecimalField
from payments.services.purchases import LARGEST, SMALLEST

SUGGESTED = ("10", "25", "50", "100")


def _dollars(label: Any, **options: Any) -> PlainDecimalField:
    options.setdefault("min_value", SMALLEST)
    options.setdefault("max_value", LARGEST)
    return PlainDecimalField(
        label=label,
        decimal_places=2,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        **options,
    )


class BuyForm(forms.Form):
    """Buy credit. ``key`` makes a form that is sent twice one purchase."""

    credits = _dollars(_("Credit in USD"), help_text=_("1 USD buys 1.00 of credit, which does not expire."))
    key = forms.CharField(widget=forms.HiddenInput, max_length=80)


class TopUpForm(forms.Form):
    """The rule for automatic top-ups."""

    threshold = _dollars(_("When less is available than (USD)"), min_value=Decimal(0))
    amount = _dollars(_("Buy (USD)"))
    monthly_cap = _dollars(
        _("At most (USD) a month"), required=False, help_text=_("By calendar month. Empty: no limit of its own.")
    )
    is_enabled = forms.BooleanField(label=_("Top up automatically"), required=False, initial=True)

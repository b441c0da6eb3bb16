"""The form on which a member redeems a code."""

from django import forms
from django.utils.translation import gettext_lazy as _

from core.ids import uuid7
from coupons.codes import LONGEST


class RedeemForm(forms.Form):
    """A code. ``key`` makes a form that is sent twice redeem once."""

    code = forms.CharField(
        # More than a code has: blanks around it, and no hint where the longest code ends.
        max_length=LONGEST * 4,
        label=_("Coupon code"),
        help_text=_("Capitals or not makes no difference."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
    )
    key = forms.CharField(widget=forms.HiddenInput, initial=lambda: f"page:{uuid7()}", max_length=80)

"""What a buyer fills in on the hosted checkout page."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from billing.models import Checkout, Product
from payments.charging.test_processor import TOKENS
from payments.providers.sandbox import CARDS


class CheckoutForm(forms.Form):
    """Who buys what, and with which test card; the card only where the test processor collects."""

    product = forms.UUIDField(required=False)
    email = forms.EmailField(label=_("E-mail address"), max_length=320)
    name = forms.CharField(label=_("Name"), max_length=255, required=False)
    token = forms.ChoiceField(
        label=_("Test card"),
        required=False,
        choices=[(token, CARDS[card].label) for token, card in TOKENS.items()],
        initial=next(iter(TOKENS)),
    )

    def __init__(self, data: Any, *, checkout: Checkout, offers: Sequence[Product]) -> None:
        super().__init__(data, initial={"email": checkout.customer_email, "name": checkout.customer_name})
        self._offers = {product.id for product in offers}
        # Whoever is a customer already stays who he is.
        self.fields["email"].disabled = checkout.customer_id is not None
        for name, hint in (("email", "email"), ("name", "name")):
            self.fields[name].widget.attrs["autocomplete"] = hint

    def clean_product(self) -> Any:
        """One of what is offered."""
        product_id = self.cleaned_data["product"]
        if product_id is not None and product_id not in self._offers:
            raise forms.ValidationError(_("This is not offered here."))
        return product_id

    def details(self) -> dict[str, str]:
        """What the buyer says of himself, in the words of the service."""
        named = {"customer_email": self.cleaned_data["email"], "customer_name": self.cleaned_data["name"]}
        return {field: value for field, value in named.items() if value}

"""Fields of forms that several apps have."""

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.forms.fields import InvalidJSONInput
from django.utils.translation import gettext_lazy as _

from core.errors import DomainError
from core.jsonio import has_nul
from core.money import InvalidAmount, read_decimal
from core.times import FIRST_DAY, LAST_DAY

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_OVERLAPS = {"0": timedelta(0), "1": timedelta(hours=1), "24": timedelta(days=1), "168": timedelta(days=7)}


class DayField(forms.DateField):
    """A day to filter by, in the browser's own field."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault("widget", forms.DateInput(attrs={"type": "date"}))
        super().__init__(validators=[MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)], **kwargs)


class PlainDecimalField(forms.DecimalField):
    """A number as our API takes it as text; blanks around it do not count for people."""

    def to_python(self, value: Any) -> Any:
        """The exact number; None where nothing was given."""
        text = str(value).strip()
        if value in self.empty_values or not text:
            return None
        try:
            return read_decimal(text)
        except InvalidAmount:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None


class JsonField(forms.JSONField):
    """JSON that a column takes: no NaN, no half of a character, no NUL, not deeper than can be read."""

    def to_python(self, value: Any) -> Any:
        """As Django reads it."""
        try:
            found = super().to_python(value)
            text = json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            raise self._refusal() from None
        if has_nul(text):
            raise self._refusal()
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was sent, as it was sent where it cannot be read."""
        try:
            return initial if self.disabled else data if data is None else self.to_python(data)
        except ValidationError:
            return InvalidJSONInput(data)

    def _refusal(self) -> ValidationError:
        return ValidationError(self.error_messages["invalid"], code="invalid")


class RefusableForm(forms.Form):
    """A form whose valid content a service may still refuse."""

    def add_refusal(self, refusal: DomainError) -> None:
        """Show a service's refusal beside the field that it is about."""
        for error in refusal.facts.get("errors", ()):
            self.add_error(error["field"] if error["field"] in self.fields else None, error["detail"])
        if not self.errors:
            self.add_error(None, refusal.detail)


class OverlapForm(forms.Form):
    """How long what is replaced goes on beside its successor; whoever uses it says what that is."""

    label: "str | _StrPromise" = ""
    help_text: "str | _StrPromise" = ""
    overlap = forms.ChoiceField(
        choices=[
            ("0", _("No longer: it ends now")),
            ("1", _("One more hour")),
            ("24", _("One more day")),
            ("168", _("Seven more days")),
        ],
        initial="24",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["overlap"].label, self.fields["overlap"].help_text = self.label, self.help_text

    def overlap_time(self) -> timedelta:
        """The chosen overlap."""
        return _OVERLAPS[self.cleaned_data["overlap"]]


def reason_field() -> forms.CharField:
    """Why an operator does something."""
    return forms.CharField(max_length=200, help_text=_("For the audit trail and other operators."))


class ReasonForm(forms.Form):
    """Why an operator does something that needs no other answer."""

    reason = reason_field()

"""Fields of forms that several apps have."""

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

_FIRST, _LAST = date(1970, 1, 1), date(2199, 12, 31)  # a day more or less, in any zone, is on the calendar too


class DayField(forms.DateField):
    """A day to filter by, in the browser's own field."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault("widget", forms.DateInput(attrs={"type": "date"}))
        super().__init__(validators=[MinValueValidator(_FIRST), MaxValueValidator(_LAST)], **kwargs)

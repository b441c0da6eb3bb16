"""The form of the wish for letters."""

from typing import Any

from django import forms

from outbox.notices.kinds import kinds
from outbox.notices.models import NoticeChoice


class EmailForm(forms.Form):
    """A switch for each kind of news."""

    def __init__(self, data: Any = None, *, user_id: int) -> None:
        super().__init__(data)
        chosen = dict(NoticeChoice.objects.filter(user_id=user_id).values_list("kind", "by_email"))
        for kind in kinds():
            self.fields[kind.slug] = forms.BooleanField(
                required=False,
                label=kind.label,
                help_text=kind.help,
                initial=chosen.get(kind.slug, kind.by_email),
                widget=forms.CheckboxInput(attrs={"role": "switch"}),
            )

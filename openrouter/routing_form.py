"""The form of a routing rule, as operators fill it in."""

from typing import Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField

from core.errors import DomainError
from openrouter import services
from openrouter.models import RoutingRule


class RoutingRuleForm(forms.ModelForm):
    """A rule as an operator writes it."""

    fallbacks = SimpleArrayField(
        forms.CharField(max_length=160),
        required=False,
        help_text="Models to fall back to, in order, separated by commas. Used only for requests that name none.",
    )
    tier_slug = forms.CharField(
        label="Tier",
        required=False,
        max_length=40,
        help_text="A tier's slug. Neither: everybody.",
    )

    class Meta:
        model = RoutingRule
        fields = (
            *("match", "organization", "tier_slug", "replacement", "max_tokens"),
            *("fallbacks", "provider", "priority", "is_enabled", "note"),
        )
        help_texts = {
            "match": "A model's id, such as openai/gpt-4o, or all of an author: openai/*",
            "replacement": "A model that answers in place of the one asked for, which stays behind it.",
            "max_tokens": "In tokens; for requests that name none.",
            "provider": "Defaults under the request's own “provider”, as JSON: "
            '{"order": ["azure"], "data_collection": "deny"}',
            "priority": "The lowest that fits a call applies, alone.",
        }

    def clean_fallbacks(self) -> list[str]:
        """Without the blanks around commas."""
        return [name.strip() for name in self.cleaned_data["fallbacks"] if name.strip()]

    def clean(self) -> dict[str, Any]:
        """What the service would refuse is told beside the form; nothing is kept by looking."""
        data = super().clean() or {}
        if not self.errors:
            try:
                services.check_routing_rule(**rule_fields(self))
            except DomainError as refusal:
                raise forms.ValidationError(refusal.detail) from None
        return data


def rule_fields(form: RoutingRuleForm) -> dict[str, Any]:
    """The form's values as the services take them."""
    data = form.cleaned_data
    organization = data["organization"]
    return {
        "rule_id": None if form.instance._state.adding else form.instance.pk,
        "match": data["match"].strip(),
        "organization_id": None if organization is None else organization.pk,
        "tier_slug": data["tier_slug"].strip(),
        "replacement": data["replacement"].strip(),
        "max_tokens": data["max_tokens"],
        "fallbacks": data["fallbacks"],
        "provider": data["provider"] or {},
        "priority": data["priority"],
        "is_enabled": data["is_enabled"],
        "note": data["note"],
    }

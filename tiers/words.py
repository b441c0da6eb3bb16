"""What a tier costs and permits, in words for pages."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import amounts
from core.money import to_wire
from tiers.models import ModelAccess, Tier
from tiers.options import Option

_WHICH = {"paid": gettext_lazy("on paid models"), "free": gettext_lazy("on free models")}


def markup_words(option: Option) -> str:
    """``5 % on paid models``; what is added to the provider's cost."""
    parts = [_component(each) for each in option.components if not _is_nothing(each)]
    return " + ".join(parts) or _("At cost: no markup")


def models_words(tier: Tier) -> str:
    """Which models the tier includes."""
    if tier.model_access == ModelAccess.FREE:
        return _("Free models")
    if tier.model_access == ModelAccess.ALL:
        return _("All models")
    return _("%(count)d chosen models") % {"count": len(tier.model_ids)}


def rollover_words(tier: Tier) -> str:
    """What becomes of a month's credit that is left."""
    if not tier.credit_expires:
        return _("Never expires")
    if not tier.rollover_percent:
        return _("Expires with the month")
    words = _("%(percent)s %% kept for the next month") % {"percent": to_wire(tier.rollover_percent)}
    if tier.rollover_cap is None:
        return words
    return _("%(words)s, at most %(cap)s") % {"words": words, "cap": amounts.readable(tier.rollover_cap)}


def _is_nothing(component: Mapping[str, Any]) -> bool:
    return not Decimal(component.get("percent") or component.get("amount") or 0)


def _component(component: Mapping[str, Any]) -> str:
    which = _WHICH.get(component.get("applies_to", "all"), "")
    match component["type"]:
        case "percentage":
            words = _("%(percent)s %% markup") % {"percent": to_wire(Decimal(component["percent"]))}
        case "per_1k_tokens":
            words = _("%(amount)s per 1,000 tokens") % {"amount": amounts.readable(Decimal(component["amount"]))}
        case _other:
            words = _("%(amount)s per request") % {"amount": amounts.readable(Decimal(component["amount"]))}
    return f"{words} {which}".strip()

"""Options of a tier: the same price as credit and markup, or as the use of one's own provider key."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.errors import InvalidRequest
from core.money import InvalidAmount, parse_money, to_wire
from tiers.components import checked_components

if TYPE_CHECKING:
    from tiers.models import Tier

DEFAULT = "managed"
KNOWN = (DEFAULT, "byok")


@dataclass(frozen=True, slots=True)
class Option:
    """One way to be on a tier. ``monthly_credit`` in USD."""

    slug: str
    monthly_credit: Decimal
    components: tuple[Mapping[str, Any], ...]
    byok_allowed: bool


def options_of(tier: "Tier") -> list[Option]:
    """What a tier may be taken as, the usual one first."""
    if not tier.options:
        return [Option(DEFAULT, tier.monthly_credit, tuple(tier.components), tier.byok_allowed)]
    return [
        Option(
            each["slug"],
            Decimal(each["monthly_credit"]),
            tuple(each["components"]),
            each.get("byok_allowed", tier.byok_allowed),
        )
        for each in tier.options
    ]


def option_of(tier: "Tier", slug: str) -> Option:
    """The option called ``slug``, else the usual one."""
    options = options_of(tier)
    return next((option for option in options if option.slug == slug), options[0])


def checked_options(options: Any) -> list[dict[str, Any]]:
    """The options in the form they are stored in. Raises InvalidRequest."""
    if not isinstance(options, list) or not all(isinstance(each, dict) for each in options):
        raise InvalidRequest("Options are a list of objects.")
    checked = [_checked(each) for each in options]
    slugs = [each["slug"] for each in checked]
    if len(set(slugs)) < len(slugs):
        raise InvalidRequest("Each option is named once.")
    return checked


def _checked(option: Mapping[str, Any]) -> dict[str, Any]:
    slug = option.get("slug")
    if slug not in KNOWN:
        raise InvalidRequest(f"An option is one of {', '.join(KNOWN)}.")
    if unknown := set(option) - {"slug", "monthly_credit", "components", "byok_allowed"}:
        raise InvalidRequest(f"An option has no {', '.join(sorted(unknown))}.")
    checked = {
        "slug": slug,
        "monthly_credit": _credit(option.get("monthly_credit", "0")),
        "components": checked_components(_list(option.get("components", []))),
    }
    if "byok_allowed" in option:
        checked["byok_allowed"] = bool(option["byok_allowed"])
    return checked


def _list(components: Any) -> list[Mapping[str, Any]]:
    if not isinstance(components, list) or not all(isinstance(each, dict) for each in components):
        raise InvalidRequest("The components of an option are a list of objects.")
    return components


def _credit(value: Any) -> str:
    try:
        amount = parse_money(value)
    except InvalidAmount as error:
        raise InvalidRequest(str(error)) from None
    if amount < 0:
        raise InvalidRequest("An option cannot take credit away.")
    return to_wire(amount)

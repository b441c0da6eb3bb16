"""What a tier permits beyond prices and limits: names, order and wording, so that a page can print the matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import InvalidRequest

NOT_INCLUDED = "Not included"
MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Entitlement:
    """One row of the comparison. ``values`` gives the words for each value that it may have."""

    key: str
    name: str
    values: Mapping[str, str] = field(default_factory=dict)

    def check(self, value: Any) -> Any:
        """The value as it is stored. Raises InvalidRequest."""
        if not isinstance(value, str) or value not in self.values:
            raise InvalidRequest(f"{self.key} is one of {', '.join(self.values)}.")
        return value

    def text(self, value: Any) -> str:
        """The value in words."""
        return self.values.get(value, str(value))


class Several(Entitlement):
    """Any number of the values; none of them means that it is not included."""

    def check(self, value: Any) -> Any:
        """The values in the order of the words."""
        if not isinstance(value, list) or not all(isinstance(each, str) and each in self.values for each in value):
            raise InvalidRequest(f"{self.key} is a list of {', '.join(self.values)}.")
        return [each for each in self.values if each in value]

    def text(self, value: Any) -> str:
        """All of them."""
        return " + ".join(self.values.get(each, str(each)) for each in value) or NOT_INCLUDED


class Days(Entitlement):
    """A number of days; none is without end."""

    def check(self, value: Any) -> Any:
        """A whole number or nothing."""
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_DAYS):
            raise InvalidRequest(f"{self.key} is a number of days up to {MOST_DAYS}, or nothing for without end.")
        return value

    def text(self, value: Any) -> str:
        """How long."""
        return "Unlimited" if value is None else f"{value} day{'' if value == 1 else 's'}"


class Flag(Entitlement):
    """There or not."""

    def check(self, value: Any) -> Any:
        """True or False."""
        if not isinstance(value, bool):
            raise InvalidRequest(f"{self.key} is true or false.")
        return value

    def text(self, value: Any) -> str:
        """Whether."""
        return self.values.get("true", "Included") if value else NOT_INCLUDED


ENTITLEMENTS: tuple[Entitlement, ...] = (
    Entitlement("token_preview", "Token preview", {"basic": "Basic", "full": "Full"}),
    Entitlement("cost_tracking", "Cost tracking", {"limited": "Limited", "detailed": "Detailed"}),
    Several(
        "budget_periods",
        "Budget limits",
        {"daily": "Daily", "weekly": "Weekly", "monthly": "Monthly", "total": "Total"},
    ),
    Several(
        "budget_scopes",
        "Budgets for",
        {
            "organization": "Organization",
            "team": "Team",
            "member": "Member",
            "api_key": "API key",
            "model": "Model",
            "tag": "Tag",
        },
    ),
    Days("analytics_days", "Analytics"),
    Several("dashboards", "Dashboards", {"basic": "Basic", "team": "Team", "personal": "Personal"}),
    Entitlement(
        "recommendations",
        "Optimization",
        {"tips": "Tips", "recommendations": "Recommendations", "ai": "AI-powered"},
    ),
    Several("exports", "Exports", {"csv": "CSV", "json": "JSON", "pdf": "PDF"}),
    Several("scheduled_reports", "Scheduled reports", {"csv": "CSV", "pdf": "PDF"}),
    Flag("teams", "Team management"),
    Flag("api_access", "API access", {"true": "Full API"}),
)
_BY_KEY = {each.key: each for each in ENTITLEMENTS}


def reaches(key: str, offered: str, wanted: str) -> bool:
    """Whether ``offered`` is ``wanted`` or comes after it among the values of ``key``, which rise."""
    known = list(_BY_KEY[key].values) if key in _BY_KEY else [wanted]
    return offered in known and wanted in known and known.index(offered) >= known.index(wanted)


@dataclass(frozen=True, slots=True)
class Feature:
    """An entitlement of one tier, ready to be printed."""

    key: str
    name: str
    value: Any
    text: str
    included: bool


def checked_entitlements(entitlements: Any) -> dict[str, Any]:
    """The entitlements in the form they are stored in; those of an operator's own making stay as given.

    Raises InvalidRequest.
    """
    if not isinstance(entitlements, Mapping):
        raise InvalidRequest("Entitlements are an object of values by name.")
    return {key: _BY_KEY[key].check(value) if key in _BY_KEY else value for key, value in entitlements.items()}


def features_of(entitlements: Mapping[str, Any]) -> list[Feature]:
    """The known entitlements in their order, then an operator's own by name; what is missing is not included."""
    known = [_feature(each, entitlements[each.key]) for each in ENTITLEMENTS if each.key in entitlements]
    own = [_own(key, entitlements[key]) for key in sorted(set(entitlements) - set(_BY_KEY))]
    return known + own


def words_of(key: str, value: str) -> str:
    """One value of an entitlement in words."""
    known = _BY_KEY.get(key)
    return value if known is None else known.values.get(value, value)


def feature_of(key: str, value: Any) -> Feature:
    """One entitlement in words."""
    known = _BY_KEY.get(key)
    return _own(key, value) if known is None else _feature(known, value)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison: what each of the tiers offers, in their order."""

    key: str
    name: str
    cells: list[Feature]


def matrix_of(tiers: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The comparison of several tiers' entitlements; a tier without one does not include it."""
    offers = [{feature.key: feature for feature in features_of(each)} for each in tiers]
    names = {feature.key: feature.name for feature in features_of({k: v for each in tiers for k, v in each.items()})}
    return [
        Row(key, name, [offer.get(key) or Feature(key, name, None, NOT_INCLUDED, False) for offer in offers])
        for key, name in names.items()
    ]


def _feature(entitlement: Entitlement, value: Any) -> Feature:
    text = entitlement.text(value)
    return Feature(entitlement.key, entitlement.name, value, text, text != NOT_INCLUDED)


def _own(key: str, value: Any) -> Feature:
    if isinstance(value, bool):
        text = "Included" if value else NOT_INCLUDED
    elif isinstance(value, list):
        text = " + ".join(map(str, value)) or NOT_INCLUDED
    else:
        text = NOT_INCLUDED if value is None else str(value)
    return Feature(key, key.replace("_", " ").capitalize(), value, text, text != NOT_INCLUDED)

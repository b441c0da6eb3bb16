"""Answers as files: CSV with every digit, and rows with the columns of FOCUS, the open format of cost data (FinOps)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from core.csvlines import csv_lines
from core.jsonio import dumps_text
from core.money import to_wire
from core.periods import calendar_month
from core.times import utc_text
from metering.analytics.answering import Answer, Line
from metering.analytics.dimensions import dimension_of
from metering.models import Kind
from metering.ranges import UTC_ZONE
from metering.sums import DAY, SUMS, Row

FOCUS_VERSION = "1.2"
# What a FOCUS file has a row for: each day, and in it everything that changes what a row says.
FOCUS_BY = tuple(
    dimension for slug in ("model", "kind", "name", "team", "key", "byok") if (dimension := dimension_of(slug))
)
FOCUS_COLUMNS = (
    *("AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType"),
    *("BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass"),
    *("ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity"),
    *("ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName"),
    *("ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName"),
    *("PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory"),
    *("ServiceName", "ServiceSubcategory", "SkuId", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType"),
    *("Tags", "x_Calls", "x_Errors", "x_ProviderCost", "x_Markup", "x_ByokCost"),
)
_SUBCATEGORIES = {
    Kind.CHAT: "Generative AI",
    Kind.COMPLETION: "Generative AI",
    Kind.EMBEDDING: "Natural Language Processing",
    Kind.AGENT: "Generative AI",
}
_OTHER = "Other (AI and Machine Learning)"
_PRODUCT = "Farebox"


def csv_of(answer: Answer) -> Iterator[str]:
    """A line for each row: when, of what (ids and names), and every sum."""
    slugs = [each.slug for each in answer.question.by]
    named = [slug for slug in slugs if answer.labels.get(slug)]
    header = [*(["start"] if answer.question.granularity else []), *slugs, *(f"{slug}_name" for slug in named)]
    before = [f"previous_{name}" for name in ("events", "charge")] if answer.previous is not None else []
    rows = (_cells(answer, line, slugs, named) for line in answer.lines)
    return csv_lines([*header, *SUMS, *before], rows)


def _cells(answer: Answer, line: Line, slugs: Sequence[str], named: Sequence[str]) -> list[Any]:
    start = [utc_text(line.start)] if line.start is not None else []
    values = ["" if line.group[slug] is None else _plain(line.group[slug]) for slug in slugs]
    names = [answer.label(slug, line.group[slug]) for slug in named]
    before = [line.before["events"], line.before["charge"]] if line.before is not None else []
    blank = ["", ""] if answer.previous is not None and line.before is None else []
    return [*start, *values, *names, *(line.now[name] for name in SUMS), *before, *blank]


def _plain(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def focus_of(answer: Answer) -> Iterator[str]:
    """FOCUS columns; the answer is by day and FOCUS_BY. What a column has no word for is empty."""
    return csv_lines(FOCUS_COLUMNS, ([row.get(name) for name in FOCUS_COLUMNS] for row in focus_rows(answer)))


def focus_rows(answer: Answer) -> Iterator[dict[str, Any]]:
    """The same as mappings. Costs of all rows together are the charge of the range."""
    owner = answer.question.organization
    fixed = {
        "BillingAccountId": str(owner.id),
        "BillingAccountName": owner.name,
        "BillingAccountType": "Organization",
        "BillingCurrency": "USD",
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "InvoiceIssuerName": _PRODUCT,
        "ProviderName": _PRODUCT,
        "PricingCategory": "Standard",
        "ServiceCategory": "AI and Machine Learning",
    }
    for line in answer.lines:
        yield {**fixed, **_periods(line.start or answer.span.start), **_costs(line.now), **_what(answer, line)}


def _periods(start: datetime) -> dict[str, str]:
    day = start.astimezone(UTC)
    first, after = calendar_month(day, UTC_ZONE)
    return {
        "ChargePeriodStart": utc_text(day),
        "ChargePeriodEnd": utc_text(day + DAY),
        "BillingPeriodStart": utc_text(first),
        "BillingPeriodEnd": utc_text(after),
    }


def _costs(row: Row) -> dict[str, Any]:
    tokens = row["prompt_tokens"] + row["completion_tokens"]
    unit, quantity = ("Tokens", Decimal(tokens)) if tokens else ("Units", row["quantity"])
    if not quantity:
        unit, quantity = "Requests", Decimal(row["events"])
    charge = row["charge"]
    return {
        **dict.fromkeys(("BilledCost", "EffectiveCost", "ContractedCost", "ListCost"), to_wire(charge)),
        "ConsumedQuantity": to_wire(quantity),
        "ConsumedUnit": unit,
        "PricingQuantity": to_wire(quantity),
        "PricingUnit": unit,
        "x_Calls": row["events"],
        "x_Errors": row["errors"],
        "x_ProviderCost": to_wire(row["provider_cost"]),
        "x_Markup": to_wire(row["markup"]),
        "x_ByokCost": to_wire(row["byok_cost"]),
    }


def _what(answer: Answer, line: Line) -> dict[str, Any]:
    group = line.group
    resource = group["model"] or group["name"] or group["kind"]
    kind = answer.label("kind", group["kind"])
    tags = {
        name: answer.label(slug, group[slug])
        for name, slug in (("team", "team"), ("api_key", "key"))
        if group[slug] is not None
    }
    return {
        "ChargeDescription": f"{kind}: {resource}" + (", own provider key" if group["byok"] else ""),
        "PublisherName": group["model"].partition("/")[0] or _PRODUCT,
        "ResourceId": resource,
        "ResourceName": resource,
        "ResourceType": "Model" if group["model"] else "Event",
        "ServiceName": kind,
        "ServiceSubcategory": _SUBCATEGORIES.get(group["kind"], _OTHER),
        "SkuId": f"{group['kind']}:{resource}",
        "SubAccountId": None if group["team"] is None else str(group["team"]),
        "SubAccountName": None if group["team"] is None else answer.label("team", group["team"]),
        "SubAccountType": None if group["team"] is None else "Team",
        "Tags": dumps_text(tags) if tags else None,
    }

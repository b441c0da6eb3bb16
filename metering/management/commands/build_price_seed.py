"""``manage.py build_price_seed``: write the packaged price list anew. For maintainers; needs requirements-dev.txt."""

import json
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from core.money import to_wire
from metering.price_seed import SEED_FILE
from metering.prices import PriceCard

PACKAGE = "genai-prices"
# The package's price classes, and by how many decimal places its unit differs from ours.
_CLASSES = {
    "input_mtok": ("prompt", -6),
    "output_mtok": ("completion", -6),
    "cache_read_mtok": ("input_cache_read", -6),
    "cache_write_mtok": ("input_cache_write", -6),
    "cache_write_1h_mtok": ("input_cache_write_1h", -6),
    "output_reasoning_mtok": ("internal_reasoning", -6),
    "input_audio_mtok": ("audio", -6),
    "output_audio_mtok": ("audio_output", -6),
    "cache_audio_read_mtok": ("input_audio_cache", -6),
    "requests_kcount": ("request", -3),
    "web_searches_kcount": ("web_search", -3),
}

# Of the names that the package matches, only dated forms of the same model are sure to cost the same.
_DATED = re.compile(r"-(\d{8}|\d{4}-\d\d-\d\d|\d\d-\d\d)$")


class Command(BaseCommand):
    """Reads OpenRouter's models from genai-prices and keeps only what we use, in OpenRouter's own terms."""

    help = "Write the packaged price list from genai-prices (maintainers)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to and as of when."""
        parser.add_argument("--output", type=Path, default=SEED_FILE)
        parser.add_argument("--taken-on", type=date.fromisoformat, default=None, help="Default: today.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file: one model a line, so that changes read well."""
        try:
            from genai_prices.data import providers
        except ImportError:
            raise CommandError("Install requirements-dev.txt first: genai-prices is missing.") from None
        provider = next(provider for provider in providers if provider.id == "openrouter")
        models = sorted(filter(None, map(_model, provider.models)), key=lambda model: model["id"])
        head = {
            "source": PACKAGE,
            "version": version(PACKAGE),
            "taken_on": (options["taken_on"] or timezone.now().date()).isoformat(),
        }
        _write(options["output"], head, models)
        self.stdout.write(f"{len(models)} models written to {options['output']}.")


def _write(path: Path, head: dict[str, str], models: list[dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(model, ensure_ascii=False, separators=(",", ":")) for model in models)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{json.dumps(head)[:-1]}, "models": [\n{lines}\n]}}\n')


def _model(info: Any) -> dict[str, Any] | None:
    """The seed's record; None for ids outside OpenRouter's space and for models whose price is not stated."""
    if "/" not in info.id:
        return None
    periods = [period for period in map(_period, _periods(info.prices)) if period is not None]
    readable = [period for period in periods if period["pricing"] or info.id.endswith(":free")]
    if not readable or readable != periods:
        return None
    for period in readable:
        # The package leaves out what is zero.
        period["pricing"] = PriceCard.from_json({"prompt": "0", "completion": "0", **period["pricing"]}).to_json()
    record: dict[str, Any] = {"id": info.id}
    if info.name and info.name != info.id:
        record["name"] = info.name
    if info.context_window:
        record["context_length"] = info.context_window
    if aliases := sorted(name for name in set(_names(info.match)) - {info.id} if _DATED.search(name)):
        record["aliases"] = aliases
    return {**record, "prices": readable}


def _names(match: Any) -> Iterator[str]:
    """Every name that the package takes for this model exactly."""
    if hasattr(match, "equals"):
        yield match.equals
    for part in getattr(match, "or_", ()):
        yield from _names(part)


def _periods(prices: Any) -> list[tuple[date | None, Any]]:
    """When each price list begins (None: from the beginning) and the list, oldest first."""
    if not isinstance(prices, list):
        return [(None, prices)]
    periods = [(getattr(price.constraint, "start_date", None), price.prices) for price in prices]
    return sorted(periods, key=lambda period: period[0] or date.min)


def _period(period: tuple[date | None, Any]) -> dict[str, Any]:
    start, prices = period
    pricing: dict[str, Any] = {}
    tiers: dict[int, dict[str, str]] = {}
    for name, value in vars(prices).items():
        if value is None or name not in _CLASSES:
            continue
        key, places = _CLASSES[name]
        pricing[key] = _per_unit(getattr(value, "base", value), places)
        for tier in getattr(value, "tiers", ()):
            tiers.setdefault(tier.start, {})[key] = _per_unit(tier.price, places)
    if tiers:
        pricing["overrides"] = [{"min_prompt_tokens": start, **tiers[start]} for start in sorted(tiers)]
    return ({"from": start.isoformat()} if start else {}) | {"pricing": pricing}


def _per_unit(price: Decimal, places: int) -> str:
    return to_wire(Decimal(price).scaleb(places))

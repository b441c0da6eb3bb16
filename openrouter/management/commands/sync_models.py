"""``manage.py sync_models``: bring the provider's models and prices to the price book, now."""

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.jsonio import dumps_text, wire_form
from metering.services.price_book import SyncReport
from openrouter.services import sync_catalogue


class Command(BaseCommand):
    """Exit code 1 when a provider account could not be read."""

    help = "Fetch every model and price from OpenRouter and record what changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Text or JSON."""
        parser.add_argument("--json", action="store_true", help="print the full report as JSON")

    def handle(self, *args: object, **options: Any) -> None:
        """Sync and report."""
        reports, failures = sync_catalogue(at=timezone.now())
        if options["json"]:
            told = {name: asdict(report) for name, report in reports.items()}
            self.stdout.write(dumps_text(wire_form({"synced": told, "failed": failures})))
        else:
            for name, report in reports.items():
                self._tell(name, report)
        if failures:
            raise CommandError("; ".join(f"{name}: {reason}" for name, reason in failures.items()))
        if not reports:
            raise CommandError("No provider is configured: set OPENROUTER_BASE_URL.")

    def _tell(self, name: str, report: SyncReport) -> None:
        self.stdout.write(
            f"{name}: {len(report.added)} new, {len(report.repriced)} with a new price, {len(report.unchanged)} as "
            f"before, {len(report.kept)} kept at an operator's price, {len(report.vanished)} gone, "
            f"{len(report.returned)} back"
        )
        for model, reason in report.refused.items():
            self.stdout.write(f"  refused {model}: {reason}")

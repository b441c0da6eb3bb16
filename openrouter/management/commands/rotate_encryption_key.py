"""``manage.py rotate_encryption_key``: encrypt every stored secret with the current key."""

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.jsonio import dumps_text
from openrouter.fields import current_key_id
from openrouter.services.encryption import BATCH, reencrypt_secrets, secrets_by_key


class Command(BaseCommand):
    """Exit code 1 while any row is on another key than the first of ``FIELD_ENCRYPTION_KEYS``."""

    help = (
        "Encrypt all stored secrets with the first key of FIELD_ENCRYPTION_KEYS. Put the new key first, keep the old "
        "one after it, run this, and take the old one out when it reports 0 rows left. Safe to interrupt and repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How much at a time; or only look."""
        parser.add_argument("--batch", type=int, default=BATCH, help="rows between two lines of progress")
        parser.add_argument("--check", action="store_true", help="change nothing, report which keys are in use")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: object, **options: Any) -> None:
        """Rotate, then report what the database really holds."""
        if options["batch"] < 1:
            raise CommandError("--batch must be at least 1")
        if not options["check"]:
            self._rotate(options["batch"], quiet=options["json"])
        self._report(secrets_by_key(), as_json=options["json"])

    def _rotate(self, batch: int, *, quiet: bool) -> None:
        rotated: Counter[str] = Counter()
        for progress in reencrypt_secrets(batch=batch):
            rotated[progress.column] += progress.rotated
            if not quiet:
                unreadable = f", {progress.unreadable} unreadable" if progress.unreadable else ""
                self.stdout.write(f"{progress.column}: {rotated[progress.column]} encrypted again{unreadable}")

    def _report(self, columns: dict[str, Counter[str]], *, as_json: bool) -> None:
        current = current_key_id()
        left = {name: sum(keys.values()) - keys[current] for name, keys in columns.items()}
        if as_json:
            self.stdout.write(dumps_text({"current_key": current, "columns": columns, "left": left}))
        else:
            for name, keys in columns.items():
                told = ", ".join(f"{count} with {key or 'no key'}" for key, count in sorted(keys.items())) or "none"
                self.stdout.write(f"{name}: {told}; {left[name]} not on the current key {current}")
        if total := sum(left.values()):
            raise CommandError(
                f"{total} secrets are still on another key: keep the old keys in FIELD_ENCRYPTION_KEYS. "
                "What no key of the ring can read must be stored again."
            )

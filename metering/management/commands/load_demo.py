"""``manage.py load_demo``: three months of plausible usage, once; safe to run again and beside a running server."""

import json
import os
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Organization
from metering.demo import people
from metering.demo.budgets import make_budgets
from metering.demo.cast import COMPANIES
from metering.demo.hooks import show_webhooks
from metering.demo.shapes import Loaded
from metering.demo.story import Story
from metering.demo.traffic import DAYS
from metering.services import make_partitions
from tiers.catalogue import MANAGED_CREDITS, PROMPT_LAB

_LOCK = 0x64656D6F  # "demo"


class Command(BaseCommand):
    """Makes an operator, people, organizations and their usage; writes who can sign in to ``demo.json``."""

    help = "Load demo data: an operator, end users, organizations and three months of usage."

    def handle(self, *args: Any, **options: Any) -> None:
        """All of it or nothing."""
        for catalogue in (MANAGED_CREDITS, PROMPT_LAB):
            call_command("load_catalogue", catalogue, verbosity=0)
        call_command("load_price_seed", verbosity=0)
        make_partitions(at=timezone.now())
        with transaction.atomic():
            _wait_for_others()
            loaded = self._load()
        if loaded is not None:
            note_file().parent.mkdir(parents=True, exist_ok=True)
            _write_private(note_file(), json.dumps(asdict(loaded), indent=2))
        self.stdout.write(f"Sign-ins and keys: {note_file()}")

    def _load(self) -> Loaded | None:
        """None when everything was there already, the note with the passwords too."""
        now, password = timezone.now(), people.new_password()
        password_hash = make_password(password)  # once: it is meant to be slow
        organization = Organization.objects.live().filter(name=COMPANIES[0].name).order_by("created_at").first()
        if organization is None:
            self.stdout.write("Loading three months of demo data …")
            people.make_operator(password_hash)
            story = Story(at=now, password_hash=password_hash, say=self.stdout.write)
            story.tell()
            organization = story.shown_organization()
            make_budgets(at=now)
            show_webhooks(organization, since=now - timedelta(days=DAYS))
        elif note_file().exists():
            self.stdout.write("The demo data is there already.")
            return None
        else:
            self.stdout.write("The demo data is there already; new passwords and keys, as the note of them is gone.")
            people.set_passwords(password_hash)
        return people.loaded(
            password,
            api_key=people.make_shown_key(organization, at=now),
            test_api_key=people.make_shown_key(organization.test_twin, at=now),
        )


def note_file() -> Path:
    """Where scripts find who can sign in."""
    return Path(settings.DATA_DIR) / "demo.json"


def _wait_for_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def _write_private(path: Path, text: str) -> None:
    """Readable by its owner only, from its first byte on."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)

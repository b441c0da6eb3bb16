"""Bringing the provider's list of models to the price book."""

from datetime import datetime

import structlog

from accounts.models import Mode
from metering.services.price_book import SyncReport, sync_models
from openrouter.client import OpenRouterClient, ProviderError
from openrouter.upstreams import Upstream, upstreams

log = structlog.get_logger(__name__)

LIVE_SOURCE = "openrouter"
TEST_SOURCE = "openrouter sandbox"


def sync_catalogue(*, at: datetime) -> tuple[dict[str, SyncReport], dict[str, str]]:
    """Models and prices of every provider account: reports by its name, and why some could not be read.

    The account behind live keys decides; one that serves test keys alone only adds models of its own.
    """
    reports: dict[str, SyncReport] = {}
    failures: dict[str, str] = {}
    for upstream in sorted(upstreams(), key=lambda upstream: Mode.LIVE not in upstream.modes):
        if not upstream.base_url:
            continue
        try:
            reports[upstream.name] = _sync(upstream, at)
        except ProviderError as error:
            log.warning("openrouter.catalogue.failed", upstream=upstream.name, reason=str(error))
            failures[upstream.name] = str(error)
    return reports, failures


def _sync(upstream: Upstream, at: datetime) -> SyncReport:
    models = OpenRouterClient(upstream.base_url, "").models()
    is_live = Mode.LIVE in upstream.modes
    return sync_models(models, source=LIVE_SOURCE if is_live else TEST_SOURCE, at=at, is_authority=is_live)

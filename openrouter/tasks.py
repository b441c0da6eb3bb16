"""Jobs of the provider side: each calls a service and is safe to run twice, or at the same time as another."""

from datetime import timedelta
from uuid import UUID

import structlog
from celery import shared_task
from django.db import transaction
from django.utils import timezone

from openrouter import recovery, services
from openrouter.client import ProviderError
from openrouter.models import ByokCredential, ProviderAccount
from openrouter.reconciliation import reconcile
from openrouter.recovery.totals import take_first_readings
from openrouter.upstreams import manageable_modes, upstreams
from outbox.taskruns import apart, note_problem

log = structlog.get_logger(__name__)


@shared_task
def provision(account_id: str) -> bool:
    """Tell the provider what it is owed about one account; without a configured provider the row just waits."""
    account = ProviderAccount.objects.in_modes(manageable_modes()).filter(pk=UUID(account_id)).first()
    return account is not None and services.advance_account(account_id=account.id, at=timezone.now())


@shared_task
def provision_due() -> int:
    """The same for every account whose turn has come: failures, lost tasks, decisions of operators."""
    return services.advance_due(at=timezone.now())


@shared_task
def delete_retired_keys() -> int:
    """Delete sub-keys that are no longer used."""
    return services.delete_retired_keys(at=timezone.now())


@shared_task
def follow_limit(organization_id: str) -> bool:
    """Bring one organization's spend limit in step with its credits."""
    account = ProviderAccount.objects.usable().in_modes(manageable_modes())
    found = account.filter(organization_id=UUID(organization_id)).first()
    try:
        return found is not None and services.follow_limit(account_id=found.id, at=timezone.now())
    except ProviderError:
        return False  # noted on the row; follow_limits comes back to it


@shared_task
def follow_limits() -> int:
    """The same for every organization whose limit seems out of step."""
    return services.follow_limits(at=timezone.now())


@shared_task
def sync_usage() -> int:
    """Read every sub-key's usage, and delete what attempts of unknown outcome have left."""
    seen = 0
    for upstream in upstreams():
        if not upstream.is_manageable:
            continue
        try:
            seen += services.sync_upstream(upstream=upstream, at=timezone.now())
        except ProviderError as error:
            log.warning("openrouter.sync_failed", upstream=upstream.name, reason=str(error))
            note_problem(f"{upstream.name}: {error}")
    return seen


@shared_task
def sync_balance() -> int:
    """Read what is left of the credit at every provider account; how many were read."""
    read = 0
    for upstream in upstreams():
        if not upstream.is_manageable:
            continue
        try:
            services.sync_balance(upstream=upstream, at=timezone.now())
            read += 1
        except ProviderError as error:
            log.warning("openrouter.balance_unread", upstream=upstream.name, reason=str(error))
            note_problem(f"{upstream.name}: {error}")
    return read


@shared_task
def sync_models() -> int:
    """Bring the provider's models and prices to the price book; how many prices changed."""
    reports, failures = services.sync_catalogue(at=timezone.now())
    for name, reason in failures.items():
        note_problem(f"{name}: {reason}")
    return sum(len(report.repriced) for report in reports.values())


@shared_task
def verify_own_keys() -> int:
    """Ask about every customer's own key; how many still work."""
    working = 0
    for credential in ByokCredential.objects.select_related("organization").iterator(chunk_size=200):
        with apart("openrouter.byok.unchecked", credential.organization_id):
            working += services.verify_byok(credential=credential, at=timezone.now())
    return working


@shared_task
def recover_calls() -> int:
    """Settle calls that ended without a bill; how many."""
    recovered = recovery.recover_calls(at=timezone.now())
    take_first_readings(at=timezone.now())
    return recovered.settled


@shared_task
def reconcile_now() -> int:
    """Compare keys and account with the provider's books; how many differences are open."""
    return len(reconcile(day=None, at=timezone.now(), wait=60).open)


@shared_task(time_limit=3 * 3600)
def reconcile_yesterday() -> int:
    """The same, and the calls and the activity of the UTC day that has just ended."""
    at = timezone.now()
    return len(reconcile(day=at.date() - timedelta(days=1), at=at, wait=120).open)


_TASKS = {"provision": provision, "follow_limit": follow_limit}


def soon(name: str, *arguments: str, seconds: float = 0) -> None:
    """Run a task after the commit of the running transaction.

    A broker that is down costs nothing but time: the beat tasks find everything in the rows.
    """
    task = _TASKS[name]

    def send() -> None:
        task.apply_async(arguments, countdown=seconds or None, retry=False)

    transaction.on_commit(send, robust=True)

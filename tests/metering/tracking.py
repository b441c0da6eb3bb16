"""One event reported by a test, and what became of it."""

from credits.models import CreditAccount, LedgerEntry
from metering.models import UsageEvent

CHAT = {"kind": "chat", "model": "vendor/model", "prompt_tokens": 1000, "completion_tokens": 500}


def balance(organization):
    return CreditAccount.objects.get(pk=organization.pk).balance


def only_event():
    return UsageEvent.objects.get()


def refused(answer, status, code):
    """The refusal, after checking that nothing was recorded or charged."""
    got, body = answer
    assert (got, body["code"]) == (status, code), body
    assert UsageEvent.objects.count() == 0
    assert not LedgerEntry.objects.filter(kind="charge").exists()
    return body

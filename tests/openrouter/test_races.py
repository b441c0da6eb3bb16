"""Several workers and deciders at once, on real connections; each beside a control without the claim."""

import pytest

from core.ids import uuid7
from openrouter.models import ProviderAccount, RetiredKey
from openrouter.services import (
    advance_account,
    claims,
    delete_account,
    delete_retired_keys,
    provisioning,
    request_account,
    rotate_key,
)
from openrouter.services.claims import claim_account
from tests.concurrency.parallel import run_parallel
from tests.openrouter.building import OWNER, fresh, keys_of, make_active, make_pending, now

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 6


def without_claims(account_id, *, at, count_attempt=False):
    """The control: everybody thinks that the account is theirs."""
    ProviderAccount.objects.filter(pk=account_id).update(claim_id=uuid7(), claimed_until=at + claims.CLAIM)
    return ProviderAccount.objects.select_related("organization").get(pk=account_id)


def posts(provider) -> int:
    return sum(1 for seen in provider.requests() if seen["method"] == "POST")


def test_parallel_workers_make_one_key(provider):
    account = make_pending()
    run_parallel([lambda: advance_account(account_id=account.id, at=now())] * WORKERS)
    assert posts(provider) == 1
    assert set(keys_of(provider, account.organization)) == {fresh(account).hash}


def test_without_the_claim_they_make_several(provider, monkeypatch):
    monkeypatch.setattr(provisioning, "claim_account", without_claims)
    account = make_pending()
    run_parallel([lambda: advance_account(account_id=account.id, at=now())] * WORKERS)
    assert posts(provider) > 1


def test_one_of_many_gets_the_claim(provider):
    account = make_pending()
    at = now()
    claimed = run_parallel([lambda: claim_account(account.id, at=at, count_attempt=True)] * WORKERS)
    assert sum(one is not None for one in claimed) == 1
    assert fresh(account).attempts == 1


def test_requests_deletions_and_workers_at_once_leave_what_the_last_decision_says(provider):
    account = make_active()
    organization_id = account.organization_id
    run_parallel(
        [
            lambda: delete_account(organization_id=organization_id, actor=OWNER, at=now()),
            lambda: request_account(organization_id=organization_id, actor=OWNER, at=now()),
            lambda: rotate_key(organization_id=organization_id, actor=OWNER, at=now()),
            lambda: advance_account(account_id=account.id, at=now()),
            lambda: delete_retired_keys(at=now()),
            lambda: advance_account(account_id=account.id, at=now()),
        ]
    )
    for _ in range(2):
        advance_account(account_id=account.id, at=now())
        delete_retired_keys(at=now() + provisioning.ROTATION_GRACE)
    final = fresh(account)
    expected = {final.hash} if final.hash else set()
    assert set(keys_of(provider, account.organization)) == expected
    assert final.status == ("active" if final.hash else "deleted")


def test_parallel_clean_ups_delete_a_key_once(provider):
    account = make_active()
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    at = now()
    done = run_parallel([lambda: delete_retired_keys(at=at)] * WORKERS)
    assert sum(done) == 1
    assert RetiredKey.objects.get().attempts == 1

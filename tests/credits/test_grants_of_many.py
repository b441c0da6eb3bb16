"""Grants of a batch in one statement give what they give one at a time."""

from datetime import timedelta
from random import Random

import pytest

from credits.audit import audit_books
from credits.endings import sweep_wallets
from credits.models import CreditAccount, LedgerEntry, Lot
from credits.services import deduct_credits, grant_item, post_batch, post_grants
from tests.builders import NOON, make_organization, usd

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def item(account, amount, key, kind="allocated", **fields):
    return grant_item(
        organization_id=account, amount=usd(amount), kind=kind, reason="r", actor="a", at=NOON, key=key, **fields
    )


def history(post, seed):
    """Three rounds of grants with odd amounts, repeated keys and an account that owes."""
    chance = Random(seed)
    accounts = [make_organization().pk for _ in range(4)]
    CreditAccount.objects.filter(pk__in=accounts[:2]).update(overage_limit=50)
    for account in accounts[:2]:
        deduct_credits(organization_id=account, amount=usd("7.5"), reason="", actor="", at=NOON)
    answers = []
    for day in range(3):
        at = NOON + day * DAY
        items = [
            item(
                chance.choice(accounts),
                f"{chance.randint(1, 9)}.{chance.randint(0, 999_999_999_999):012}",
                chance.choice([None, f"key{chance.randint(1, 12)}", f"other{number}:{day}"]),
                chance.choice(["allocated", "rollover", "purchased"]),
                expires_at=chance.choice([None, NOON + 30 * DAY]),
                counts_from=chance.choice([None, NOON - DAY]),
            )
            for number in range(15)
        ]
        sweep_wallets(sorted({each["account"] for each in items}), at)
        answers += [(row["ord"], row["status"], row["balance"]) for row in post(items, at=at)]
    return answers, [state(account) for account in accounts]


def state(account):
    wallet = CreditAccount.objects.get(pk=account)
    lots = Lot.objects.filter(account_id=account)
    entries = LedgerEntry.objects.filter(account_id=account).order_by("number")
    return (
        (wallet.balance, wallet.overage, wallet.entry_count, wallet.last_posted_at),
        sorted(map(repr, lots.values_list("kind", "amount", "remaining", "effective_at", "expires_at", "created_at"))),
        list(
            entries.values_list(
                "number", "kind", "amount", "balance_after", "key", "reason", "actor", "effective_at", "posted_at"
            )
        ),
        [[(part["kind"], part["amount"]) for part in entry.allocations] for entry in entries],
    )


@pytest.mark.parametrize("seed", range(8))
def test_a_batch_gives_the_books_of_single_grants(seed):
    assert history(post_grants, seed) == history(post_batch, seed)
    assert audit_books() == []


def test_nothing_is_no_batch():
    assert post_grants([], at=NOON) == []

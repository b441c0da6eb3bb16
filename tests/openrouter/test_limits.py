"""The sub-key's limit follows the credits."""

from datetime import timedelta
from decimal import Decimal

import pytest

from credits.services import deduct_credits, set_overage_limit
from openrouter.client import ProviderError
from openrouter.models import AccountStatus
from openrouter.services import disable_account, follow_limit, follow_limits
from openrouter.services.claims import claim_account
from openrouter.services.limits import HEADROOM, STEP, limit_for, spendable
from outbox.services import dispatch_events
from tests.builders import usd
from tests.openrouter.building import OWNER, chat, fresh, fund, keys_of, make_active, make_pending, now, spend

KEYS = "/api/v1/keys"

pytestmark = pytest.mark.django_db


def limit_there(provider, account) -> Decimal:
    return keys_of(provider, account.organization)[account.hash].limit


def patches(provider) -> int:
    return sum(1 for seen in provider.requests() if seen["method"] == "PATCH")


def take(account, amount: str) -> None:
    deduct_credits(organization_id=account.organization_id, amount=usd(amount), reason="use", actor="test", at=now())


@pytest.mark.parametrize(
    ("usage", "credit", "limit"),
    [
        ("0", "0", "1.00"),
        ("0", "10", "11.00"),
        ("3.25", "6.75", "11.00"),
        ("0.000000000001", "0", "1.01"),  # up, never down: the last cent must be spendable
        ("31.25", "0.001", "32.26"),
    ],
)
def test_the_limit_is_usage_plus_credit_plus_headroom_rounded_up_to_a_cent(usage, credit, limit):
    assert limit_for(usd(usage), usd(credit)) == usd(limit)


def test_a_step_never_eats_the_headroom():
    assert STEP < HEADROOM


def test_a_permitted_overage_is_spendable_and_a_debt_is_not_negative(provider):
    account = make_pending(credit="5")
    organization_id = account.organization_id
    set_overage_limit(organization_id=organization_id, limit=usd("2"))
    assert spendable(organization_id) == 7
    take(account, "7")
    assert spendable(organization_id) == 0


def test_a_grant_raises_the_limit(provider):
    account = make_active(credit="1")
    fund(account.organization, "20")
    assert follow_limits(at=now()) == 1
    assert limit_there(provider, account) == fresh(account).spend_limit == 22


def test_a_grants_news_raises_the_limit_without_waiting_for_the_schedule(provider):
    account = make_active(credit="1")
    fund(account.organization, "20")
    dispatch_events(at=now())
    assert limit_there(provider, account) == 22


def test_lost_credit_lowers_the_limit(provider):
    account = make_active(credit="20")
    take(account, "19")
    assert follow_limits(at=now()) == 1
    assert limit_there(provider, account) == 2


def test_moves_below_a_step_are_not_worth_a_request(provider):
    account = make_active(credit="10")
    take(account, "0.49")
    assert follow_limits(at=now()) == 0
    assert patches(provider) == 0
    take(account, "0.01")
    assert follow_limits(at=now()) == 1


def test_spending_moves_the_limit_only_by_the_markup(provider):
    account = make_active(credit="10")
    cost = spend(provider, account.secret, times=3, tokens=4000, model="anthropic/claude-opus-4.5")
    assert cost > 0
    take(account, str(cost))  # charged at cost: usage + credit is what it was
    follow_limit(account_id=account.id, at=now())
    assert patches(provider) == 0
    assert fresh(account).usage == cost
    assert limit_there(provider, account) == 11


def test_all_credit_can_be_spent_before_the_provider_stops_a_key(provider):
    account = make_active(credit="0.01")
    cost = spend(provider, account.secret, tokens=2000, model="anthropic/claude-opus-4.5")
    assert cost > usd("0.01")
    assert chat(provider, account.secret)[0] == 200


def test_the_provider_stops_a_key_beyond_credit_and_headroom(provider):
    account = make_active()
    while (answer := chat(provider, account.secret, tokens=30_000, model="anthropic/claude-opus-4.5"))[0] == 200:
        pass
    assert answer[0] == 403
    assert answer[1]["error"]["metadata"]["limit_source"] == "openrouter_key_limit"


def test_a_failed_change_is_noted_and_comes_back_after_a_pause(provider):
    account = make_active(credit="1")
    fund(account.organization, "20")
    provider.set_fault("500", path=KEYS, times=3)
    at = now()
    with pytest.raises(ProviderError):
        follow_limit(account_id=account.id, at=at)
    noted = fresh(account)
    assert (noted.status, noted.spend_limit) == (AccountStatus.ACTIVE, 2)
    assert noted.last_error
    assert follow_limits(at=at) == 0
    assert follow_limits(at=at + timedelta(minutes=1)) == 1
    assert (fresh(account).last_error, fresh(account).next_attempt_at) == ("", None)


def test_one_failing_account_keeps_no_other_waiting(provider):
    first, second = make_active(credit="1"), make_active(credit="1")
    for account in (first, second):
        fund(account.organization, "20")
    provider.set_fault("401", path=f"{KEYS}/{first.hash}")
    assert follow_limits(at=now()) == 1
    assert limit_there(provider, second) == 22


def test_a_limit_changed_by_hand_at_the_provider_is_put_right(provider):
    account = make_active(credit="10")
    provider.call("PATCH", f"{KEYS}/{account.hash}", {"limit": None}, key=provider.settings.management_key)
    assert follow_limit(account_id=account.id, at=now())
    assert limit_there(provider, account) == 11


def test_a_key_deleted_at_the_provider_is_noticed(provider):
    account = make_active(credit="10")
    provider.call("DELETE", f"{KEYS}/{account.hash}", key=provider.settings.management_key)
    assert not follow_limit(account_id=account.id, at=now())
    assert (fresh(account).status, fresh(account).owed) == ("failed", "create")


def test_only_active_accounts_are_followed(provider):
    account = make_active(credit="1")
    disable_account(organization_id=account.organization_id, reason="", actor=OWNER, at=now())
    fund(account.organization, "20")
    assert follow_limits(at=now()) == 0
    assert not follow_limit(account_id=account.id, at=now())
    assert fresh(account).claim_id is None


def test_an_account_that_a_worker_has_is_left_to_it(provider):
    account = make_active(credit="1")
    fund(account.organization, "20")
    claim_account(account.id, at=now())
    assert follow_limits(at=now()) == 0
    assert not follow_limit(account_id=account.id, at=now())
    assert limit_there(provider, account) == 2

"""Our books against the provider's: every difference is found, none is invented, and none is forgotten."""

import threading
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from credits.services import release_hold
from metering.models import ModelPrice
from metering.price_book import forget_price_book
from metering.services import record_usage
from openrouter.client import client_for
from openrouter.models import Attempt, DifferenceScope, ReconciliationDifference
from openrouter.reconciliation import keys
from openrouter.reconciliation.books import agrees, moment
from openrouter.reconciliation.findings import explain_difference
from openrouter.reconciliation.matching import is_sum_of_some
from openrouter.services import advance_account, delete_account, delete_retired_keys, rotate_key
from openrouter.services import provisioning as work
from tests.builders import make_record
from tests.openrouter.building import OWNER, fresh, hash_of, now, spend
from tests.openrouter.conftest import SHARED_KEY
from tests.openrouter.metering import make_call, metered, note_attempt, record
from tests.openrouter.reconciling import NOON, YESTERDAY, rows, run, scopes

pytestmark = pytest.mark.django_db


# ---------------------------------------------------------------- agreeing


def test_books_that_agree_are_clean(provider, account):
    for _ in range(3):
        metered(provider, account)
    report = run()
    assert (report.is_clean, report.open, report.unsettled) == (True, [], [])
    assert report.compared["key"] == 2  # the sub-key and the shared one
    assert report.compared["account"] == 1


def test_a_day_that_agrees_is_clean_in_every_scope(provider, account, yesterday):
    for model in ("openai/gpt-4o-mini", "deepseek/deepseek-r1", "openai/gpt-4o-mini"):
        metered(provider, account, model=model, at=NOON)
    yesterday()
    report = run(YESTERDAY)
    assert rows(report) == []
    assert report.unsettled == []
    assert report.compared["day"] == 2
    assert report.compared["call"] == 3


def test_an_empty_account_agrees(provider):
    assert run(YESTERDAY).is_clean


def test_a_failed_request_that_was_billed_is_our_cost_and_no_difference(provider, account, yesterday):
    call = make_call(provider, account, at=NOON)
    note_attempt(call, cost=call.cost, answered=False, number=2)
    release_hold(call.hold_id, at=now())
    yesterday()
    assert run(YESTERDAY).is_clean


def test_a_failed_request_whose_bill_nobody_knew_of_is_found_by_its_record(provider, account):
    metered(provider, account)
    call = make_call(provider, account)
    attempt = note_attempt(call, cost=None, answered=False, number=2)
    Attempt.objects.filter(pk=attempt.pk).update(status_code=502)
    release_hold(call.hold_id, at=now())
    assert run().is_clean
    attempt.refresh_from_db()
    assert attempt.cost == call.cost > 0


def test_history_brought_in_from_elsewhere_is_not_compared(provider, account, yesterday):
    metered(provider, account, at=NOON)
    old = make_record(
        account.organization,
        "1.10",
        source="gateway",
        occurred_at=NOON,
        provider_cost=Decimal(1),
        markup=Decimal("0.1"),
    )
    [outcome] = record_usage([old], at=now())
    assert outcome.status == "recorded"
    yesterday()
    assert rows(run(YESTERDAY)) == []


# ---------------------------------------------------------------- differing


def test_a_billed_call_that_is_missing_in_our_books_is_found_by_key_and_account(provider, account):
    metered(provider, account)
    missing = spend(provider, account.secret)
    report = run()
    assert rows(report) == [
        ("key", account.hash, missing, "gateway"),
        ("account", "live and test", missing, "operator"),
    ]
    row = report.open[0]
    assert (row.organization_id, row.theirs - row.ours) == (account.organization_id, missing)
    assert not report.is_clean


def test_one_digit_in_the_twelfth_place_is_a_difference(provider, account):
    call = make_call(provider, account)
    record(call, cost=call.cost + Decimal("1e-12"))
    assert {row[2] for row in rows(run())} == {Decimal("-1e-12")}


def test_a_cost_recorded_wrongly_is_found_in_every_scope(provider, account, yesterday):
    call = make_call(provider, account, at=NOON)
    record(call, cost=2 * call.cost)
    yesterday()
    report = run(YESTERDAY)
    assert scopes(report) == {"formula", "call", "key", "day", "account"}
    assert {row.difference for row in report.open if row.scope != "formula"} == {-call.cost}
    [formula] = [row for row in report.open if row.scope == "formula"]
    assert (formula.subject, formula.ours, formula.theirs) == (call.answer["id"], call.cost, 2 * call.cost)


def test_a_day_names_the_model_that_differs(provider, account, yesterday):
    metered(provider, account, at=NOON)
    missing = make_call(provider, account, model="deepseek/deepseek-r1", at=NOON)
    release_hold(missing.hold_id, at=now())
    yesterday()
    report = run(YESTERDAY)
    [day] = [row for row in report.open if row.scope == "day"]
    assert day.subject == f"{YESTERDAY} deepseek/deepseek-r1 [live and test]"
    assert (day.difference, day.owner) == (missing.cost, "gateway")


def test_use_of_the_shared_key_elsewhere_is_the_operators_to_explain(provider):
    elsewhere = spend(provider, SHARED_KEY)
    report = run()
    assert ("key", hash_of(SHARED_KEY), elsewhere, "operator") in rows(report)


def test_keys_of_others_on_the_account_are_no_difference(provider, account, yesterday):
    other = client_for("live").create_key(name="somebody's", limit=None)
    spend(provider, other.secret, times=2)
    metered(provider, account, at=NOON)
    yesterday()
    assert rows(run(YESTERDAY)) == []


def test_what_a_key_used_before_us_is_explained_once(provider, account):
    other = client_for("live").create_key(name="somebody's", limit=None)
    before_us = spend(provider, other.secret)
    client_for("live").delete_key(other.key.hash)
    report = run()
    assert rows(report) == [("account", "live and test", before_us, "operator")]
    explain_difference(
        difference_id=report.open[0].id, owner="operator", note="keys of 2025", resolved_by="op@example.com", at=now()
    )
    assert run().is_clean
    more = spend(provider, account.secret)
    [account_row] = [row for row in run().open if row.scope == "account"]
    assert account_row.difference == before_us + more


# ---------------------------------------------------------------- rotation and deletion


def test_the_usage_of_rotated_and_deleted_keys_stays_in_the_comparison(provider, account):
    metered(provider, account)
    rotate_key(organization_id=account.organization_id, actor=OWNER, at=now())
    advance_account(account_id=account.id, at=now())
    rotated = fresh(account)
    metered(provider, rotated)
    assert run().is_clean
    delete_retired_keys(at=now() + work.ROTATION_GRACE)
    assert run().is_clean
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    delete_retired_keys(at=now())
    assert run().is_clean


def test_a_call_missing_under_a_deleted_key_is_found(provider, account):
    missing = spend(provider, account.secret)
    delete_account(organization_id=account.organization_id, actor=OWNER, at=now())
    delete_retired_keys(at=now())
    assert ("key", account.hash, missing, "gateway") in rows(run())


# ---------------------------------------------------------------- running calls


def test_a_running_call_is_no_difference_but_not_settled_yet(provider, account):
    metered(provider, account)
    call = make_call(provider, account)  # billed, its hold still open
    report = run()
    assert report.is_clean
    assert {item["scope"] for item in report.unsettled} == {"key", "account"}
    record(call)
    assert run().unsettled == []
    assert run().is_clean


def test_a_call_that_ends_while_we_compare_makes_up_the_difference_exactly(provider, account):
    call = make_call(provider, account)
    then = moment([account.hash])
    record(call)
    assert agrees(call.cost, then, [account.hash]) is True
    assert agrees(call.cost + Decimal("1e-12"), then, [account.hash]) is False
    assert agrees(-call.cost, then, [account.hash]) is False


def test_a_recorded_call_never_hides_a_missing_one_of_the_same_cost(provider, account):
    metered(provider, account)
    missing = spend(provider, account.secret)
    assert ("key", account.hash, missing, "gateway") in rows(run())


def test_books_that_claim_more_than_the_provider_are_a_difference_even_while_calls_run(provider, account):
    call = make_call(provider, account)
    record(call, cost=call.cost + 1)
    make_call(provider, account)
    report = run()
    assert "key" in scopes(report)


@pytest.mark.django_db(transaction=True)
def test_a_call_is_waited_for(provider, account, monkeypatch):
    call = make_call(provider, account)
    looked, settle = threading.Event(), keys._settle

    def settle_from_now_on(*arguments):
        looked.set()
        settle(*arguments)

    monkeypatch.setattr(keys, "_settle", settle_from_now_on)

    def end_it():
        assert looked.wait(60)
        record(call)
        connection.close()

    thread = threading.Thread(target=end_it)
    thread.start()
    report = run(wait=60)
    thread.join()
    assert (report.is_clean, report.unsettled) == (True, [])


def test_an_unresolved_call_of_the_day_leaves_the_day_unsettled(provider, account, yesterday):
    make_call(provider, account, at=NOON)
    yesterday()
    report = run(YESTERDAY)
    assert report.is_clean
    assert {item["scope"] for item in report.unsettled} == {"key", "day", "account"}


# ---------------------------------------------------------------- midnight


@pytest.mark.parametrize(("billed", "recorded"), [("23:59:58", "23:59:57"), ("00:00:02", "23:59:57")])
def test_a_call_over_midnight_may_be_on_either_day(provider, account, yesterday, billed, recorded):
    metered(provider, account, at=NOON)
    day = YESTERDAY if billed.startswith("23") else YESTERDAY + timedelta(days=1)
    provider.set_clock(now=f"{day}T{billed}Z")
    began = datetime.fromisoformat(f"{YESTERDAY}T{recorded}+00:00")
    metered(provider, account, at=began, milliseconds=5000)
    yesterday()
    assert rows(run(YESTERDAY)) == []


def test_calls_over_midnight_explain_only_their_own_cost(provider, account, yesterday):
    missing = make_call(provider, account, at=NOON, wishes="tokens=77")
    release_hold(missing.hold_id, at=now())
    provider.set_clock(now=f"{YESTERDAY + timedelta(days=1)}T00:00:02Z")
    began = datetime.fromisoformat(f"{YESTERDAY}T23:59:57+00:00")
    metered(provider, account, at=began, milliseconds=5000)
    yesterday()
    assert "day" in scopes(run(YESTERDAY))


# ---------------------------------------------------------------- price list


def test_a_host_with_prices_of_its_own_explains_its_bill(provider, account, yesterday):
    call = make_call(provider, account, model="openai/gpt-oss-120b", wishes="tokens=20 endpoint=1", at=NOON)
    assert call.answer["provider"] == "Groq"
    record(call)
    yesterday()
    report = run(YESTERDAY)
    assert rows(report) == []
    assert report.compared["formula"] == 1


def test_a_stale_price_list_is_found_call_by_call(provider, account, yesterday):
    price = ModelPrice.objects.get(model_id="openai/gpt-4o-mini")
    ModelPrice.objects.filter(pk=price.pk).update(pricing={**price.pricing, "completion": "0.0000005"})
    forget_price_book()
    calls = [metered(provider, account, at=NOON) for _ in range(3)]
    yesterday()
    report = run(YESTERDAY)
    assert scopes(report) == {"formula"}
    assert {row.subject for row in report.open} == {call.answer["id"] for call in calls}
    assert {row.owner for row in report.open} == {"price-book"}
    assert report.open[0].evidence["price"] == str(price.pk)
    forget_price_book()


def test_an_answer_that_the_provider_insures_is_explained(provider, account, yesterday):
    call = make_call(provider, account, wishes="fault=empty", at=NOON)
    assert call.cost == 0
    record(call, completion_tokens=0)
    yesterday()
    assert rows(run(YESTERDAY)) == []


# ---------------------------------------------------------------- single calls


def test_a_sample_always_holds_the_calls_whose_cost_the_answer_did_not_state(provider, account, yesterday):
    stated = [metered(provider, account, at=NOON) for _ in range(4)]
    guessed = make_call(provider, account, at=NOON)
    record(guessed, cost_source="estimated")
    yesterday()
    report = run(YESTERDAY, calls=0)
    assert report.compared["call"] == 1
    assert run(YESTERDAY, calls=2).compared["call"] in (2, 3)
    assert run(YESTERDAY, calls=None).compared["call"] == len(stated) + 1


def test_a_call_without_a_record_at_the_provider_is_not_settled(provider, account, yesterday):
    call = make_call(provider, account, wishes="tokens=20 fault=generation-never", at=NOON)
    record(call)
    yesterday()
    report = run(YESTERDAY)
    assert [item["scope"] for item in report.unsettled] == ["call"]


def test_a_billed_failure_that_we_took_for_free_is_found(provider, account, yesterday):
    call = make_call(provider, account, at=NOON)
    note_attempt(call, cost=None, answered=False)
    release_hold(call.hold_id, at=now())
    yesterday()
    report = run(YESTERDAY, calls=0)
    assert ("call", call.answer["id"], call.cost, "gateway") in rows(report)


# ---------------------------------------------------------------- sums

amounts = st.lists(st.decimals(min_value=0, max_value=3, places=1), max_size=7)


@given(difference=st.decimals(min_value=-2, max_value=9, places=1), amounts=amounts)
def test_sums_agree_with_trying_every_choice(difference, amounts):
    every = {sum(chosen) for n in range(len(amounts) + 1) for chosen in combinations(amounts, n)}
    assert is_sum_of_some(difference, amounts) == (difference in every)


def test_too_many_sums_are_neither_true_nor_false():
    amounts = [Decimal(2) ** -n for n in range(40)]
    assert is_sum_of_some(Decimal("0.1"), amounts) is None
    assert is_sum_of_some(sum(amounts), amounts) is True
    assert is_sum_of_some(Decimal(9), amounts) is False


def test_scopes_have_names_that_fit_their_column():
    longest = Attempt._meta.get_field("generation_id").max_length
    assert all(len(scope) <= 7 for scope in DifferenceScope.values)
    assert longest <= ReconciliationDifference._meta.get_field("subject").max_length

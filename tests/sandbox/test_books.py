"""The sandbox's books are exact, and survive the death of its process."""

import random
import threading
from decimal import Decimal

import pytest

from sandbox.books import Books
from sandbox.clock import Clock
from sandbox.journal import Journal, JournalInUse
from sandbox.records import Generation
from sandbox.settings import Settings, from_environment
from sandbox.testing import running_sandbox
from tests.sandbox.asking import ask, make_key, manage, stream

QUESTION = "[[prompt=1000 tokens=200]]"
COST = Decimal("0.00027")


def make_generation(number, **fields):
    values = {
        "id": f"gen-{number}",
        "at": 1_795_000_000.0 + number,
        "created": 1_795_000_000.0,
        "key": "k",
        "api": "completions",
        "model": "m",
        "requested": "m",
        "provider": "P",
        "endpoint": "e",
    }
    return Generation(**{**values, **fields})


def test_sums_equal_the_single_calls_to_the_last_digit(tmp_path):
    books = Books(Settings(data_dir=str(tmp_path)), Clock())
    picker = random.Random(7)
    costs = [Decimal(picker.randrange(10**14)).scaleb(-18) for _ in range(500)]
    for number, cost in enumerate(costs):
        books.write(make_generation(number, cost=cost, at=1_795_000_000.0 + picker.randrange(10**6)))
    exact = sum(int(cost.scaleb(18)) for cost in costs)
    assert int(books.total_usage.scaleb(18)) == exact
    assert int(sum(total.usage for total in books.days.values()).scaleb(18)) == exact
    assert int(books.spend["k"].lifetime.usage.scaleb(18)) == exact
    books.close()


def test_books_are_the_same_after_a_restart(tmp_path):
    with running_sandbox(data_dir=str(tmp_path)) as sandbox:
        key, hash_ = make_key(sandbox, limit=5, limit_reset="monthly")
        gone, gone_hash = make_key(sandbox)
        ask(sandbox, "openai/gpt-4o-mini", QUESTION, key=key)
        ask(sandbox, "openai/gpt-4o-mini", QUESTION, key=gone)
        manage(sandbox, "DELETE", f"/keys/{gone_hash}")
        manage(sandbox, "PATCH", f"/keys/{hash_}", {"limit": 6})
        manage(sandbox, "POST", "/byok", {"provider": "openai", "key": "sk-1"})
        sandbox.configure(total_credits="77.000000000001")
        before = (
            sandbox.books(generations="1"),
            manage(sandbox, "GET", "/keys"),
            manage(sandbox, "GET", "/byok"),
            manage(sandbox, "GET", "/credits"),
        )
    with running_sandbox(data_dir=str(tmp_path)) as sandbox:
        after = (
            sandbox.books(generations="1"),
            manage(sandbox, "GET", "/keys"),
            manage(sandbox, "GET", "/byok"),
            manage(sandbox, "GET", "/credits"),
        )
        assert after == before
        assert ask(sandbox, "sandbox/chat", key=gone)[0] == 401
        assert ask(sandbox, "sandbox/chat", key=key)[0] == 200


def test_every_answered_call_is_in_the_books_after_kill_9(tmp_path):
    with running_sandbox(process=True, data_dir=str(tmp_path)) as sandbox:
        answered = []

        def customer(seed):
            try:
                while True:
                    got = stream(sandbox, "openai/gpt-4o-mini", QUESTION)
                    if not got.done:
                        return
                    answered.append(got.headers["x-generation-id"])
            except OSError:
                return

        customers = [threading.Thread(target=customer, args=(seed,)) for seed in range(4)]
        for thread in customers:
            thread.start()
        while len(answered) < 40:
            pass
        sandbox.kill()
        for thread in customers:
            thread.join()
        sandbox.start()
        kept = {record["id"] for record in sandbox.generations()}
        assert set(answered) <= kept
        assert sandbox.usage() == len(kept) * COST
        assert manage(sandbox, "GET", "/credits")[1]["data"]["total_usage"] == len(kept) * COST


def test_a_torn_last_line_is_forgotten_and_the_next_is_whole(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append(b'{"a":1}')
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"a":2')
    journal = Journal(path)
    assert list(journal.replay()) == [b'{"a":1}\n']
    journal.append(b'{"a":3}')
    journal.close()
    assert path.read_bytes() == b'{"a":1}\n{"a":3}\n'


def test_two_sandboxes_cannot_share_their_books(tmp_path):
    first = Journal(tmp_path / "journal")
    with pytest.raises(JournalInUse):
        Journal(tmp_path / "journal")
    first.close()
    Journal(tmp_path / "journal").close()


def test_gathered_lines_are_all_written_in_the_end(tmp_path):
    with running_sandbox(data_dir=str(tmp_path), fast=True) as sandbox:
        for _ in range(5):
            ask(sandbox, "openai/gpt-4o-mini", QUESTION)
    with running_sandbox(data_dir=str(tmp_path)) as sandbox:
        assert sandbox.usage() == 5 * COST


def test_old_generations_leave_memory_but_stay_in_the_sums(tmp_path):
    for _ in range(2):
        with running_sandbox(data_dir=str(tmp_path), keep_generations=3) as sandbox:
            if not sandbox.generations():
                ids = [ask(sandbox, "openai/gpt-4o-mini", QUESTION)[1]["id"] for _ in range(5)]
            assert [record["id"] for record in sandbox.generations()] == ids[2:]
            assert sandbox.usage() == 5 * COST


def test_settings_come_from_the_environment_and_arguments_win():
    settings = from_environment(
        {
            "SANDBOX_CREDITS": "2.50",
            "SANDBOX_FAST": "true",
            "SANDBOX_API_KEY": "a",
            "OTHER": "x",
            "SANDBOX_DATA_DIR": "",
        },
        api_key="b",
    )
    assert (settings.credits, settings.fast, settings.api_key) == (Decimal("2.50"), True, "b")
    assert settings.data_dir is None


def test_key_strings_are_never_written_down(tmp_path):
    with running_sandbox(data_dir=str(tmp_path)) as sandbox:
        key, _ = make_key(sandbox)
        manage(sandbox, "POST", "/byok", {"provider": "openai", "key": "sk-very-secret-indeed"})
        ask(sandbox, "sandbox/chat", key=key)
    written = (tmp_path / "sandbox-journal.jsonl").read_text()
    for secret in (key, "sk-very-secret-indeed", sandbox.settings.management_key, sandbox.settings.api_key):
        assert secret not in written

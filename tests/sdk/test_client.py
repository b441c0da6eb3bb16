"""The clients against a running server: the same calls, sync and async."""

from decimal import Decimal

import farebox
import httpx
import pytest
from farebox import AsyncFarebox, Event, Farebox
from farebox._config import pause_before

from credits.models import CreditAccount, Hold, LedgerEntry

pytestmark = pytest.mark.django_db(transaction=True)


def wallet(customer):
    account = CreditAccount.objects.get(pk=customer.organization.pk)
    return account.balance, account.held


def test_a_balance_is_exact(client):
    balance = client.balance()
    assert (balance.balance, balance.held, balance.available) == (Decimal(10), Decimal(0), Decimal(10))
    assert balance.currency == "USD"
    assert balance.at.tzinfo is not None
    assert client.has_credits()
    assert client.has_credits("10")
    assert not client.has_credits(Decimal("10.000000000001"))


def test_settings_come_from_the_environment(customer, monkeypatch):
    monkeypatch.setenv("FAREBOX_API_KEY", customer.api_key)
    monkeypatch.setenv("FAREBOX_URL", customer.url + "/")
    with Farebox() as client:
        assert client.balance().balance == 10
        assert customer.api_key not in repr(client.config)
    monkeypatch.delenv("FAREBOX_URL")
    with pytest.raises(ValueError, match="FAREBOX_URL"):
        Farebox()


def test_a_hold_is_settled_to_what_the_work_cost(client, customer):
    with client.hold("0.50") as hold:
        assert wallet(customer) == (Decimal(10), Decimal("0.5"))
        assert hold.settle("0.0132").settled_amount == Decimal("0.0132")
    assert wallet(customer) == (Decimal("9.9868"), 0)


def test_work_that_fails_gives_its_hold_back(client, customer):
    with pytest.raises(ZeroDivisionError), client.hold("0.50"):
        1 / 0  # noqa: B018
    with client.hold("0.50"):
        pass
    assert wallet(customer) == (Decimal(10), 0)
    assert {hold.status for hold in Hold.objects.filter(account_id=customer.organization.pk)} == {"released"}


def test_a_settlement_without_an_answer_leaves_the_hold_to_be_settled_again(customer):
    faults = [None, 502, 502]
    with Farebox(
        customer.api_key, customer.url, retries=1, http_client=httpx.Client(transport=Flaky(*faults))
    ) as client:
        with pytest.raises(farebox.ServerError), client.hold("0.50") as hold:
            hold.settle("0.25")
        assert wallet(customer) == (Decimal(10), Decimal("0.5")), "the work was done"
        assert hold.settle("0.25").status == "settled"
        with pytest.raises(farebox.InvalidRequest), client.hold("0.50") as hold:
            hold.settle("a lot")
    assert wallet(customer) == (Decimal("9.75"), 0)


def test_an_event_settles_its_hold_once(client, customer):
    with client.hold("0.50") as hold:
        event = Event("deep search", kind="search", cost=Decimal("0.02"), hold_id=hold.id)
        first, again = client.track(event), client.track(event)
    assert (first.status, again.status) == ("recorded", "duplicate")
    balance, held = wallet(customer)
    assert (10 - balance, held) == (first.charge, 0)
    assert LedgerEntry.objects.filter(account_id=customer.organization.pk, kind="charge").count() == 1


def test_more_than_there_is_is_refused_before_the_work_begins(client, customer):
    began = False
    with pytest.raises(farebox.InsufficientCredits) as refusal, client.hold("10.01"):
        began = True
    assert not began
    assert (refusal.value.status, refusal.value.code) == (402, "insufficient_credits")
    assert wallet(customer) == (Decimal(10), 0)


def test_of_a_batch_each_event_is_recorded_or_refused(client, customer):
    events = [
        Event("page view"),
        Event("greeting", kind="tts", cost=Decimal("0.0003")),
        Event("too dear", cost=Decimal("11")),
        Event("x" * 200),
    ]
    results = client.track_batch(events)
    assert [result.status for result in results] == ["recorded", "recorded", "refused", "refused"]
    assert [result.external_id for result in results[:2]] == [event.external_id for event in events[:2]]
    assert [result.error["code"] for result in results[2:]] == ["insufficient_credits", "invalid_request"]
    assert [event.name for event in customer.events] == ["greeting", "page view"]


@pytest.mark.parametrize(
    ("spoil", "error", "code"),
    [
        ("key", farebox.NotAuthenticated, "invalid_api_key"),
        ("event", farebox.InvalidRequest, "invalid_request"),
    ],
)
def test_refusals_have_a_class_and_a_stable_code(customer, spoil, error, code):
    key = customer.api_key if spoil != "key" else "fbx_live_unknown"
    with Farebox(key, customer.url) as client, pytest.raises(error) as refusal:
        client.track(Event("", kind="custom"))
    assert refusal.value.code == code
    assert customer.events == []


def test_a_cost_of_nothing_is_said_and_not_left_to_the_price_list():
    free = Event("cached answer", model="openai/gpt-4o-mini", prompt_tokens=100, cost=Decimal(0), external_id="e-1")
    assert free.as_document() == {
        "name": "cached answer",
        "model": "openai/gpt-4o-mini",
        "prompt_tokens": 100,
        "cost": Decimal(0),
        "external_id": "e-1",
    }
    assert "cost" not in Event("x").as_document()


def test_an_event_has_an_id_whatever_it_is_made_with():
    """Without one it would be counted again each time that it is sent."""
    assert all(Event("x", external_id=given).as_document()["external_id"] for given in ("", None))


def test_settings_that_cannot_work_are_refused_at_once_and_the_key_is_not_shown():
    assert Farebox(" fbx_live_k\n", "https://farebox.example/").config.api_key == "fbx_live_k"
    for key, url in (("fbx_live_k\nx", "https://farebox.example"), ("k", "farebox.example"), ("schlüssel", "http://x")):
        with pytest.raises(ValueError) as refusal:
            Farebox(key, url)
        assert key not in str(refusal.value)
    assert all(0 < pause_before(1, after) < 1 for after in ("nan", "-5", "Wed, 21 Oct 2026 07:28:00 GMT", None))
    assert 60 <= pause_before(1, "9" * 40) < 61


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 200, "html": "<p>Sign in to this network"},
        {"status_code": 200, "json": []},
        {"status_code": 200, "headers": {"Content-Encoding": "gzip"}, "stream": httpx.ByteStream(b"no gzip")},
        {"status_code": 302, "headers": {"Location": "https://elsewhere.example"}},
        {"status_code": 200, "text": "[" * 100_000},
    ],
    ids=["page", "list", "no gzip", "redirect", "depth"],
)
def test_answers_of_something_else_are_one_error(answer):
    network = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(**answer)))
    with Farebox("k", "http://farebox.example", retries=0, http_client=network) as client:
        for ask in (client.balance, lambda: client.hold("1").__enter__(), lambda: client.customer_meters("c")):
            with pytest.raises(farebox.ConnectionFailed):
                ask()


def test_what_json_cannot_hold_is_refused_before_it_is_sent(client, customer):
    with pytest.raises(ValueError, match="amount"):
        client.track(Event("x", cost=Decimal("NaN")))
    with pytest.raises(ValueError, match="object"):
        client.track(Event("x", metadata={"a": object()}))
    assert customer.events == []


async def test_asyncio_has_the_same(customer):
    async with AsyncFarebox(customer.api_key, customer.url) as client:
        assert (await client.balance()).balance == 10
        assert await client.has_credits("10")
        async with client.hold("0.50") as hold:
            await hold.settle("0.25")
        with pytest.raises(ZeroDivisionError):
            async with client.hold("0.50"):
                1 / 0  # noqa: B018
        assert (await client.track(Event("page view"))).status == "recorded"
        assert [row.status for row in await client.track_batch([Event("a"), Event("b")])] == ["recorded"] * 2
        with pytest.raises(farebox.InsufficientCredits):
            async with client.hold("100"):
                pass
        balance = await client.balance()
    assert (balance.balance, balance.held) == (Decimal("9.75"), 0)


class Flaky(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Loses requests, or answers, before it lets one through."""

    def __init__(self, *faults):
        self.faults = list(faults)
        self.seen = 0
        self._inner = httpx.HTTPTransport()

    def handle_request(self, request):
        self.seen += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault == "before":
            raise httpx.ConnectError("nobody there")
        if isinstance(fault, int):
            return httpx.Response(fault, headers={"Retry-After": "0"}, request=request)
        answer = self._inner.handle_request(request)
        if fault == "after":
            answer.read()
            raise httpx.ReadError("the answer was lost")
        return answer


@pytest.mark.parametrize("faults", [("before",), ("after",), (503,), (429,), ("after", 502, "before", "after")])
def test_passing_failures_are_tried_again_and_nothing_is_charged_twice(customer, faults):
    transport = Flaky(*faults)
    with Farebox(customer.api_key, customer.url, http_client=httpx.Client(transport=transport)) as client:
        tracked = client.track(Event("search", cost=Decimal("0.01")))
        with client.hold("1") as hold:
            hold.settle("0.5")
    assert tracked.status in ("recorded", "duplicate")
    assert transport.seen == len(faults) + 3
    entries = LedgerEntry.objects.filter(account_id=customer.organization.pk, kind="charge")
    assert entries.count() == 2
    assert wallet(customer)[1] == 0


def test_after_the_last_try_the_failure_is_told(customer):
    with (
        Farebox(
            customer.api_key, customer.url, retries=1, http_client=httpx.Client(transport=Flaky("before", "before"))
        ) as client,
        pytest.raises(farebox.ConnectionFailed),
    ):
        client.balance()
    with (
        Farebox(customer.api_key, customer.url, retries=0, http_client=httpx.Client(transport=Flaky(503))) as client,
        pytest.raises(farebox.ServerError) as failure,
    ):
        client.balance()
    assert failure.value.status == 503

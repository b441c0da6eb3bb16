"""``kill -9`` of any process at any moment under load loses nothing: our books are the provider's books."""

import asyncio
import json
import random
import shutil
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest

from config.local import data_folder
from core.money import quantize
from tests.chaos.product import Product, running_product
from tests.ports import free_port

pytestmark = pytest.mark.slow

CALLERS = 12
SECONDS = 10.0
ENOUGH = 40  # answers; a slow machine takes longer for them


@pytest.fixture(scope="module")
def product():
    parent = data_folder({}) / "chaos"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent))
    folder.chmod(0o755)
    with running_product(folder, free_port()) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def customers(product):
    """Three organizations on a tier that adds 10 %."""
    words = ["--tier", "starter", "--credit", "50.00", "--json"]
    told = product.manage(
        *(["create_organization", "--email", f"chaos{number}@example.com", *words] for number in range(3))
    )
    return [json.loads(line) for line in told.splitlines()]


async def call(session: aiohttp.ClientSession, customer: dict, chance: random.Random) -> bool:
    """One call, JSON or stream, short or slow; sometimes the caller hangs up. What goes wrong is the test's point.

    Whether it was answered to its end.
    """
    stream = chance.random() < 0.6
    tokens, delay = chance.randint(1, 60), chance.choice([0, 0, 0.005, 0.02])
    body = {
        "model": chance.choice(["openai/gpt-4o-mini", "google/gemini-2.5-flash", "anthropic/claude-sonnet-4.5"]),
        "stream": stream,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": f"[[tokens={tokens} delay={delay}]] {chance.random()}"}],
    }
    headers = {"Authorization": f"Bearer {customer['api_key']}"}
    url = f"{customer['gateway_url']}/chat/completions"
    try:
        async with session.post(url, json=body, headers=headers) as answer:
            if chance.random() < 0.1:
                await answer.content.readany()
                return False
            await answer.read()
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        await asyncio.sleep(0.1)
        return False


async def load(customers: list[dict], seconds: float) -> None:
    end, answered = time.monotonic() + seconds, []

    async def caller(number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < end or (len(answered) < ENOUGH and time.monotonic() < end + 300):
            if await call(session, chance.choice(customers), chance):
                answered.append(number)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        await asyncio.gather(*(caller(number) for number in range(CALLERS)))


async def load_and_kill(product: Product, customers: list[dict], victims: list[str]) -> None:
    running = asyncio.create_task(load(customers, SECONDS))
    pause = SECONDS / (len(victims) + 1)
    for victim in victims:
        await asyncio.sleep(pause * random.Random(victim).uniform(0.6, 1.0))
        await asyncio.to_thread(product.kill, victim)
    await running


def settle_everything(product: Product) -> None:
    """Recovery until nothing is open, as the schedule would do it, only sooner; then the books are gone through."""
    told = product.manage(["recover_calls", "--wait", "180"], ["audit_ledger"])
    left = product.query("SELECT id, placed_at, context FROM credits_hold WHERE status = 'open' LIMIT 3")
    assert left == [], told


@pytest.mark.parametrize("victims", [["web", "web"], ["postgres", "worker", "web"]], ids="-".join)
def test_after_kills_under_load_our_books_are_the_providers_books(product, customers, victims):
    asyncio.run(load_and_kill(product, customers, victims))
    product.wait_healthy()
    settle_everything(product)
    ids = [customer["organization"] for customer in customers]
    events = product.query(
        "SELECT generation_id, provider_cost, charge FROM metering_usageevent WHERE organization_id = ANY (%s::uuid[])",
        [ids],
    )
    books = product.sandbox_books()
    billed = sum((Decimal(row["cost"]) for row in books["generations"]), Decimal(0))
    assert sum(cost for _, cost, _ in events) == billed == Decimal(books["totals"]["usage"])
    assert len(events) > 30
    wrong = [(event, cost, charge) for event, cost, charge in events if charge != quantize(cost * Decimal("1.1"))]
    assert wrong == []
    [(spent,)] = product.query("SELECT sum(50 - balance) FROM credits_creditaccount WHERE id = ANY (%s::uuid[])", [ids])
    assert spent == sum(charge for _, _, charge in events)
    assert product.query("SELECT count(*) FROM credits_creditaccount WHERE held <> 0") == [(0,)]

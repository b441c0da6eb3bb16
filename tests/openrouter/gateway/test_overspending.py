"""Parallel calls through several processes never spend more than there is."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.conf import settings as django_settings
from django.db import connection

from tests.openrouter.gateway.serving import HOST, Client
from tests.ports import free_port

pytestmark = pytest.mark.django_db(transaction=True)
PROCESSES = 3


@pytest.fixture(scope="module")
def processes(world, sandbox):
    """Ports of several web processes on the tests' database, as production runs them."""
    database = connection.settings_dict
    place = f"{database['HOST']}:{database['PORT']}/{database['NAME']}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"postgres://{database['USER']}:{database['PASSWORD']}@{place}",
        "OPENROUTER_BASE_URL": sandbox.base_url,
        "OPENROUTER_API_KEY": sandbox.settings.api_key,
        "OPENROUTER_SANDBOX_URL": sandbox.base_url,
        "REDIS_URL": django_settings.REDIS_URL,
        "DEBUG": "1",
        "FIELD_ENCRYPTION_KEYS": ",".join(django_settings.FIELD_ENCRYPTION_KEYS),
        "SECRET_KEY": django_settings.SECRET_KEY,
    }
    ports = [free_port() for _ in range(PROCESSES)]
    running = [_start(port, environment) for port in ports]
    try:
        for port in ports:
            _wait_for(port)
        yield ports
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(20)


def _start(port, environment):
    words = ["granian", "--interface", "asgi", "--no-ws", "--host", HOST, "--port", str(port)]
    program = os.path.join(os.path.dirname(sys.executable), words[0])
    return subprocess.Popen([program, *words[1:], "tests.openrouter.gateway.patient:application"], env=environment)


def _wait_for(port):
    for _ in range(1200):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("a web process did not start")


def test_fifty_parallel_calls_with_credit_for_twenty_admit_at_most_twenty(customer, processes):
    probe = customer(tier="exact", credit="10")
    call = {"model": "sandbox/chat", "text": "[[tokens=100 first=1.5]] hello", "max_tokens": 100}
    needed = Decimal(probe.chat(**call).headers["x-farebox-hold"])
    buyer = customer(tier="exact", credit=str(needed * 20))
    clients = [Client(processes[number % PROCESSES], buyer.secret) for number in range(50)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda client: client.chat(**call), clients))
    statuses = [answer.status for answer in answers]
    assert statuses.count(200) == 20
    assert statuses.count(402) == 30
    assert len(buyer.generations) == 20
    account = buyer.account
    assert account.held == 0
    assert account.balance == needed * 20 - buyer.billed >= 0
    assert {event.hold_id for event in buyer.events} == {hold.id for hold in buyer.holds}


def test_the_first_calls_of_a_new_key_cannot_pass_its_limit_together(customer, processes):
    probe = customer(tier="exact", credit="10")
    call = {"model": "sandbox/chat", "text": "[[tokens=100 first=1]] hello", "max_tokens": 100}
    needed = Decimal(probe.chat(**call).headers["x-farebox-hold"])
    buyer = customer(tier="exact", credit="10", spend_limit=needed * 3)
    clients = [Client(processes[number % PROCESSES], buyer.secret) for number in range(15)]
    with ThreadPoolExecutor(15) as pool:
        statuses = [answer.status for answer in pool.map(lambda client: client.chat(**call), clients)]
    assert (statuses.count(200), statuses.count(402)) == (3, 12)
    assert len(buyer.generations) == 3


def test_a_rate_limit_counts_the_calls_of_all_processes(customer, processes):
    buyer = customer(tier="exact", requests_per_minute=5)
    clients = [Client(processes[number % PROCESSES], buyer.secret) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        statuses = [answer.status for answer in pool.map(lambda client: client.chat(), clients)]
    assert (statuses.count(200), statuses.count(429)) == (5, 7)
    assert len(buyer.generations) == 5

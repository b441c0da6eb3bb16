import os
import signal
import time

import pytest

from tests.tools.waiting import eventually
from tools.launcher.console import Failure
from tools.launcher.processes import birth_mark

SLEEP = "import time; print('up'); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(600)"
WITH_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print(child.pid)
time.sleep(600)
"""


def logged(service):
    return service.log.read_text() if service.log.exists() else ""


def test_killed_service_is_reported_with_its_last_lines_and_started_again(supervisor, python_service, capsys):
    service = python_service("import time; print('what I said last'); time.sleep(600)")
    supervisor.start(service)
    eventually(lambda: "said" in logged(service))
    first = service.process.pid
    os.kill(first, signal.SIGKILL)

    eventually(lambda: supervisor.tend() or (service.running and service.process.pid != first))

    shown = capsys.readouterr().out
    assert "service killed by SIGKILL; starting it again in 0.1 s" in shown
    assert "| what I said last" in shown


def test_children_of_a_killed_service_do_not_outlive_it(supervisor, python_service):
    service = python_service(WITH_CHILD)
    supervisor.start(service)
    eventually(lambda: logged(service).strip())
    child = int(logged(service))
    assert birth_mark(child)
    os.kill(service.process.pid, signal.SIGKILL)

    eventually(lambda: supervisor.tend() or birth_mark(child) is None)


def test_each_further_death_waits_twice_as_long_up_to_half_a_minute(supervisor, python_service, monkeypatch):
    monkeypatch.setattr("tools.launcher.supervisor._STEADY_AFTER", 3600)  # however long a slow machine lets it live
    service = python_service("pass", first_delay=0.1)
    supervisor.start(service)
    waits = []
    for _ in range(12):
        eventually(lambda: not service.running)
        before = time.monotonic()
        supervisor.tend()
        waits.append((service.restart_at - time.monotonic(), service.restart_at - before))
        service.start()
    for (least, most), wait in zip(waits, (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30), strict=True):
        assert least <= wait <= most
    assert service.deaths == 12


def test_start_that_fails_shows_what_the_service_said(supervisor, python_service):
    service = python_service("raise SystemExit('no such table')")
    supervisor.start(service)
    with pytest.raises(Failure, match=r"service ended with code 1:\n    \| no such table"):
        supervisor.wait_until(service, lambda: False, seconds=60)


def test_start_that_never_answers_is_given_up(supervisor, python_service):
    service = python_service(SLEEP)
    supervisor.start(service)
    with pytest.raises(Failure, match="service did not answer in 0 s"):
        supervisor.wait_until(service, lambda: False, seconds=0.3)


def test_services_stop_in_the_reverse_order_of_their_start(supervisor, python_service, folder):
    code = """
import pathlib, signal, sys, time
def leave(*_):
    with open({order!r}, 'a') as file: file.write({name!r})
    sys.exit()
signal.signal(signal.SIGTERM, leave)
print('up')
time.sleep(600)
"""
    order = folder / "order"
    services = [python_service(code.format(order=str(order), name=name), name=name) for name in "abc"]
    for service in services:
        supervisor.start(service)
    eventually(lambda: all("up" in logged(service) for service in services))

    supervisor.stop_all()

    assert order.read_text() == "cba"
    assert [service.process.returncode for service in services] == [0, 0, 0]


def test_service_deaf_to_the_polite_signal_is_made_to_stop(supervisor, python_service):
    service = python_service(DEAF, grace=0.2)
    supervisor.start(service)
    eventually(lambda: "up" in logged(service))
    supervisor.stop_all()
    assert service.process.returncode == -signal.SIGKILL

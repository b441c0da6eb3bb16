"""Keeps the services alive: a death is reported, the service started again with back-off."""

import time
from collections.abc import Callable

from tools.launcher.console import Failure, say, tail
from tools.launcher.runnote import RunNote
from tools.launcher.service import Service
from tools.launcher.signals import StopSignals

_LONGEST_DELAY = 30.0  # seconds
_STEADY_AFTER = 5.0  # seconds of life after which earlier deaths are forgotten: it does start


class Supervisor:
    """Services in the order they were started; stopped in the reverse order."""

    def __init__(self, note: RunNote, stop: StopSignals) -> None:
        self.note = note
        self.stop_signals = stop
        self.services: list[Service] = []

    def start(self, service: Service) -> None:
        """Start ``service`` and look after it from now on."""
        self.services.append(service)
        service.start()
        self.note.write_services(self.services)

    def forget(self, service: Service) -> None:
        """Look after ``service`` no longer; it is ended if it still runs."""
        self.services.remove(service)
        service.stop(hurry=lambda: True)

    def wait_until(self, service: Service, ready: Callable[[], bool], seconds: float, tries: int = 1) -> None:
        """Wait for ``service``. Raises Failure with its last words when late or ended ``tries`` times."""
        until = time.monotonic() + seconds
        while not ready():
            unreported = not service.running and service.restart_at is None
            if service.deaths + unreported >= tries:
                raise Failure(f"{service.name} {service.ending()}:\n{tail(service.log, from_byte=service.log_start)}")
            if time.monotonic() > until:
                raise Failure(
                    f"{service.name} did not answer in {seconds:.0f} s (log: {service.log}):\n"
                    f"{tail(service.log, from_byte=service.log_start)}"
                )
            self.tend()
            self.stop_signals.sleep()

    def tend(self) -> None:
        """One look at every service: report the dead, start those whose delay is over."""
        for service in self.services:
            if service.running:
                continue
            if service.restart_at is None:
                self._mourn(service)
            elif time.monotonic() >= service.restart_at:
                service.start()
                self.note.write_services(self.services)

    def _mourn(self, service: Service) -> None:
        service.sweep()
        lived = time.monotonic() - service.started
        service.deaths = 1 if lived > _STEADY_AFTER else service.deaths + 1
        delay = min(service.first_delay * 2 ** (service.deaths - 1), _LONGEST_DELAY)
        service.restart_at = time.monotonic() + delay
        say(f"\n  {service.name} {service.ending()}; starting it again in {delay:.1f} s ({service.log}):")
        say(tail(service.log, lines=8, from_byte=service.log_start) or "    | (it said nothing)")

    def tend_until_stopped(self) -> None:
        """Look after the services until someone asks to stop (raises Stopped)."""
        while True:
            self.tend()
            self.stop_signals.sleep(0.2)

    def stop_all(self) -> None:
        """Stop every service, the last started first. A second request to stop shortens the waits."""
        asked = self.stop_signals.count
        while self.services:
            service = self.services.pop()
            service.stop(hurry=lambda: self.stop_signals.count > max(asked, 1))

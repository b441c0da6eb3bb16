"""How Django is served beside the gateway: in threads behind its port, by Django's ASGI handler, or in a process apart.

What counts is both sides: what Django's own pages get, and what the calls beside them lose.
"""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any

from django.conf import settings

from benchmarks.gateway import MESSAGES, MODEL, granian, make_customer, running
from benchmarks.report import describe_machine

_PAGES = 8  # connections that ask for the balance, one query and an answer by the REST framework
_CALLS = 8  # connections that make JSON calls
_THREADS = str(settings.WEB_THREADS)
_BALANCE = "/api/v1/credits/balance"


def main(*, quick: bool) -> None:
    """Print a table: pages alone, calls alone, and both at the same time."""
    seconds = 2.0 if quick else 5.0
    print(f"\n## Django beside the gateway: {describe_machine()}")
    _, secret = make_customer(scopes=("gateway", "credits:read"))
    with ExitStack() as stack:
        upstream = stack.enter_context(running([sys.executable, "-m", "benchmarks.http.upstream"], {}))
        address = f"{upstream}/api/v1"
        # The pages of one key are many more than it may usually ask for.
        common = {
            "OPENROUTER_BASE_URL": address,
            "OPENROUTER_SANDBOX_URL": address,
            "LOG_LEVEL": "WARNING",
            "RATE_LIMIT_API": "1000000000",
        }
        found = {}
        for name, application, apart in (
            ("threads behind the same port", "config.asgi:application", False),
            ("Django's ASGI handler behind the same port", "benchmarks.http.beside:application", False),
            ("a process of its own", "config.asgi:application", True),
        ):
            with ExitStack() as servers:
                calls = servers.enter_context(running(granian(application), common))
                pages = calls
                if apart:
                    words = [*granian("config.wsgi:application", "wsgi")[:-1], "--blocking-threads", _THREADS, "--port"]
                    pages = servers.enter_context(running(words, common))
                time.sleep(2)
                found[name] = _both(calls, pages, secret, seconds)
    _print(found)


def _both(calls: str, pages: str, secret: str, seconds: float) -> list[dict[str, Any]]:
    """Pages alone, calls alone, then pages and calls beside each other."""
    alone = [_result(_start_pages(pages, secret, seconds)), _result(_start_calls(calls, secret, seconds))]
    together = [_start_pages(pages, secret, seconds), _start_calls(calls, secret, seconds)]
    return alone + [_result(each) for each in together]


def _start_pages(url: str, secret: str, seconds: float) -> "subprocess.Popen[str]":
    return _start({"url": f"{url}{_BALANCE}", "method": "GET", "connections": _PAGES}, secret, seconds)


def _start_calls(url: str, secret: str, seconds: float) -> "subprocess.Popen[str]":
    body = json.dumps({"model": MODEL, "max_tokens": 300, "messages": MESSAGES})
    return _start({"url": f"{url}/api/v1/chat/completions", "body": body, "connections": _CALLS}, secret, seconds)


def _start(options: dict[str, Any], secret: str, seconds: float) -> "subprocess.Popen[str]":
    words = json.dumps({**options, "secrets": [secret], "seconds": seconds})
    return subprocess.Popen([sys.executable, "-m", "benchmarks.http.load", words], stdout=subprocess.PIPE, text=True)


def _result(load: "subprocess.Popen[str]") -> dict[str, Any]:
    text, _ = load.communicate(timeout=120)
    found: dict[str, Any] = json.loads(text)
    if bad := {status: n for status, n in found["statuses"].items() if status != "200"}:
        raise SystemExit(f"unexpected answers: {bad}")
    return found


def _print(found: dict[str, list[dict[str, Any]]]) -> None:
    print(f"\n{_PAGES} connections ask for a balance, {_CALLS} make JSON calls; p50 / p99 in ms.\n")
    print("| Django in | pages alone | calls alone | pages beside calls | calls beside pages |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, results in found.items():
        cells = [f"{each['rate']:,.0f}/s, {each['ms']['p50']:.0f} / {each['ms']['p99']:.0f}" for each in results]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

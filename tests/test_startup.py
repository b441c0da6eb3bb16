"""Production starts whole or says in one message why not."""

import os
import re
import subprocess
import sys

import pytest

from config import startup
from config.local import ROOT

SECRET = "7Jm2nYc0tq-XvR4uWb9eKs1zLp6dHf3g"
ENOUGH = {
    "SECRET_KEY": SECRET,
    "FIELD_ENCRYPTION_KEYS": f"{SECRET},{SECRET[::-1]}",
    "DATABASE_URL": "postgres://farebox@127.0.0.1:1/farebox",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
BOX = "http://127.0.0.1:4000/api/v1"
ENTRIES = {
    "manage.py": [sys.executable, "manage.py", "check"],
    "celery": [sys.executable, "-m", "celery", "-A", "config", "report"],
    "asgi": [sys.executable, "-c", "import config.asgi"],
    "wsgi": [sys.executable, "-c", "import config.wsgi"],
    "granian": [sys.executable, "-m", "granian", "--interface", "asgi", "--port", "0", "config.asgi:application"],
    "alone": [sys.executable, "-m", "config.startup"],
}


def in_production(**changes: str) -> dict[str, str]:
    known = {name: value for name, value in (ENOUGH | changes).items() if value}
    return known | {"ENV_FILE": "", "DATA_DIR": "/nonexistent", "PATH": os.environ["PATH"]}


@pytest.fixture
def production(monkeypatch):
    monkeypatch.delitem(sys.modules, "pytest")


def refusal(**changes: str) -> list[str]:
    return startup.refusal_of(in_production(**changes)).splitlines()[1:-2]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_missing_secret_stops_every_start_with_one_message_and_no_traceback(entry):
    done = subprocess.run(
        ENTRIES[entry], cwd=ROOT, env=in_production(SECRET_KEY=""), capture_output=True, text=True, timeout=60
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert said.count("SECRET_KEY is not set.") == 1, said
    assert "Traceback" not in said


def test_settings_refuse_too_when_nobody_asked_before():
    command = [sys.executable, "-c", "import django; django.setup()"]
    environment = in_production(SECRET_KEY="") | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert "ImproperlyConfigured: Farebox does not start" in done.stderr


def test_all_that_is_missing_is_named_at_once(production):
    said = refusal(**dict.fromkeys(ENOUGH, ""))
    assert [line.split()[0] for line in said] == list(ENOUGH)


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_production_never_falls_back_to_a_server_on_this_machine(production, name):
    [line] = refusal(**{name: ""})
    assert line.strip().startswith(f"{name} is not set.")


@pytest.mark.parametrize("name", ["SECRET_KEY", "FIELD_ENCRYPTION_KEYS"])
@pytest.mark.parametrize("weak", ["build", "x" * 64, "abcabcabc" * 8, f"change-me-{SECRET}", SECRET[:31]])
def test_a_weak_secret_is_refused_and_not_repeated(production, name, weak):
    [line] = refusal(**{name: weak})
    assert line.strip().startswith(name)
    assert weak not in line


def test_every_encryption_key_counts(production):
    assert len(refusal(FIELD_ENCRYPTION_KEYS=f"{SECRET},short")) == 1


def test_whole_and_strong_it_starts(production):
    assert startup.refusal_of(in_production()) == ""


def test_development_needs_nothing(production):
    assert startup.refusal_of({"DEBUG": "1"}) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"PAYMENT_PROVIDER": "strip"}, ["  PAYMENT_PROVIDER is 'strip'. Choose one of manual, stripe, sandbox."]),
        (
            {"PAYMENT_PROVIDER": "stripe"},
            ["  STRIPE_SECRET_KEY is not set. PAYMENT_PROVIDER=stripe needs it."],
        ),
        ({"PAYMENT_PROVIDER": "stripe", "STRIPE_SECRET_KEY": "sk_live_1"}, []),
        ({"PAYMENT_PROVIDER": "sandbox", "OPENROUTER_BASE_URL": BOX, "OPENROUTER_SANDBOX_URL": BOX}, []),
        (
            {"PAYMENT_PROVIDER": "stripe", "STRIPE_SECRET_KEY": "sk_live_1", "CUSTOMER_TEST_PAYMENTS": "on"},
            ["  CUSTOMER_TEST_PAYMENTS is on, but Stripe collects: choose one of them."],
        ),
        ({"CUSTOMER_TEST_PAYMENTS": "1"}, []),
        ({}, []),
    ],
)
def test_a_provider_of_payments_must_be_known_and_have_its_key(production, changes, said):
    assert refusal(**changes) == said


@pytest.mark.parametrize("debug", ["", "1"])
@pytest.mark.parametrize(
    ("issuer", "while_developing"),
    [
        ("https://id.example.com", True),
        ("http://127.0.0.1:9000/realms/x", True),
        ("http://localhost:9000", True),
        ("http://[::1]:9000", True),
        ("http://id.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("ftp://localhost", False),
        ("https://", False),
        ("https://[::1", False),
        ("id.example.com", False),
    ],
)
def test_an_issuer_of_sign_ins_is_asked_over_https_or_on_this_machine_while_developing(
    production, issuer, while_developing, debug
):
    accepted = while_developing if debug else issuer.startswith("https://id")
    said = startup.refusal_of(in_production(OIDC_ISSUER=issuer, DEBUG=debug))
    assert (said == "") == accepted and ("OIDC_ISSUER" in said) != accepted


@pytest.mark.parametrize(
    "upstream",
    [{}, {"OPENROUTER_BASE_URL": "https://openrouter.ai/api/v1"}, {"OPENROUTER_SANDBOX_URL": BOX}],
    ids=["default", "real", "only test keys"],
)
def test_test_cards_never_buy_calls_that_cost_money(production, upstream):
    [line] = refusal(PAYMENT_PROVIDER="sandbox", **upstream)
    assert line.startswith("  PAYMENT_PROVIDER is 'sandbox': its test cards would buy calls that cost money.")


def test_the_example_file_names_every_setting():
    source = (ROOT / "config" / "settings.py").read_text(encoding="utf-8")
    read = set(re.findall(r"""\b(?:env(?:\.\w+)?|_required)\(\s*"([A-Z_]+)\"""", source))
    listed = set(re.findall(r"^# ?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert "GATEWAY_ATTEMPTS" in read
    assert read - listed == set()

"""The container files, read: pinned, without secrets, not as root, watched, and one schedule."""

import re

import pytest
import yaml

from config import startup
from config.local import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = ("migrate", "web", "worker", "beat")
SECRETS = ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "POSTGRES_PASSWORD")


def test_every_image_is_pinned_to_a_release():
    images = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    images += re.findall(r"^ARG PYTHON=(\S+)", DOCKERFILE, re.M)
    assert len(images) == 3
    for image in images:
        assert re.search(r":\d+\.\d+", image), image
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)) == {"$PYTHON"}


def test_packages_are_installed_from_the_lock_by_hash():
    assert "--require-hashes" in DOCKERFILE
    assert "-r requirements.lock" in DOCKERFILE


def test_the_process_is_not_root_and_gains_nothing():
    assert re.search(r"^USER farebox$", DOCKERFILE, re.M)
    assert DOCKERFILE.index("USER farebox") < DOCKERFILE.index("CMD [")
    for name in OURS:
        assert "no-new-privileges:true" in SERVICES[name]["security_opt"]


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_written_down(name):
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert f"${{{name}:?" in text  # compose itself refuses to start without it
    assert not re.search(rf"{name}: (?!\$\{{)", text)
    assert f"ENV {name}" not in DOCKERFILE


def test_nothing_private_enters_the_image():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".env", "var", ".git", ".venv"} <= set(ignored)


def test_whatever_runs_on_is_watched():
    for name, service in SERVICES.items():
        watched = service.get("healthcheck") or ("HEALTHCHECK" in DOCKERFILE and name in OURS and {"image": True})
        assert watched, name
    # The image asks for the web port: what does not serve it says otherwise.
    assert all(SERVICES[name]["healthcheck"] for name in ("migrate", "worker", "beat"))


def test_tables_and_catalogue_come_before_anything_serves():
    steps = SERVICES["migrate"]["command"][-1]
    assert steps.index("migrate") < steps.index("load_catalogue") < steps.index("load_price_seed")
    for name in ("web", "worker", "beat"):
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_there_is_one_schedule_and_it_is_not_in_the_worker():
    beats = [name for name in OURS if "beat" in SERVICES[name].get("command", [])]
    assert beats == ["beat"]
    assert "-B" not in SERVICES["worker"]["command"]


def test_static_files_are_in_the_image_and_its_start_asks_for_the_secrets():
    assert "collectstatic" in DOCKERFILE
    assert DOCKERFILE.index("python -m config.startup") < DOCKERFILE.index("exec granian")


def test_compose_gives_what_production_needs(monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "pytest")
    given = {name: str(value) for name, value in SERVICES["web"]["environment"].items()}
    secret = "7Jm2nYc0tq-XvR4uWb9eKs1zLp6dHf3g"
    assert (
        startup.refusal_of({name: re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", secret, text) for name, text in given.items()}) == ""
    )

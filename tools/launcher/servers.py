"""The product's own processes: sandbox, web, worker."""

import http.client
import shutil
from pathlib import Path

from tools.launcher.ports import HOST
from tools.launcher.service import Service

# Keys that only the stand-in accepts: worth nothing, so they need no hiding.
_SANDBOX_KEYS = {"MANAGEMENT_KEY": "sk-or-v1-sandbox-management", "API_KEY": "sk-or-v1-sandbox-inference"}


def sandbox_settings(settings: dict[str, str], port: int) -> dict[str, str]:
    """``settings`` with the stand-in on ``port`` as upstream of test keys, of live ones if none is named.

    Where nothing real can be called, nothing real is paid for either: then credit is bought with test cards.
    """
    url = f"http://{HOST}:{port}/api/v1"
    added = {"OPENROUTER_SANDBOX_URL": url}
    for name, key in _SANDBOX_KEYS.items():
        added[f"OPENROUTER_SANDBOX_{name}"] = added[f"SANDBOX_{name}"] = key
    if not settings.get("OPENROUTER_BASE_URL"):
        added["OPENROUTER_BASE_URL"] = url
        added |= {f"OPENROUTER_{name}": key for name, key in _SANDBOX_KEYS.items()}
        added["PAYMENT_PROVIDER"] = settings.get("PAYMENT_PROVIDER") or "sandbox"
    return settings | added


def sandbox(root: Path, settings: dict[str, str], data_dir: Path, port: int) -> Service:
    """The OpenRouter stand-in."""
    return Service(
        name="sandbox",
        command=[
            "python",
            "manage.py",
            "openrouter_sandbox",
            "--port",
            str(port),
            "--data-dir",
            str(data_dir / "sandbox"),
        ],
        environment=settings,
        log=data_dir / "log" / "sandbox.log",
        folder=root,
        grace=5,
    )


def web(root: Path, settings: dict[str, str], data_dir: Path, port: int) -> Service:
    """Pages, API and gateway on one port, by WEB_WORKERS processes."""
    words = ["granian", "--interface", "asgi", "--loop", "uvloop", "--no-ws", "--respawn-failed-workers"]
    words += ["--host", HOST, "--port", str(port), "--workers", settings.get("WEB_WORKERS", "1")]
    return Service(
        name="web",
        command=[*words, "config.asgi:application"],
        environment=settings,
        log=data_dir / "log" / "web.log",
        folder=root,
    )


def worker(root: Path, settings: dict[str, str], data_dir: Path) -> Service:
    """Background jobs and their schedule in one process; production runs the schedule apart."""
    words = [
        "celery",
        "-A",
        "config",
        "worker",
        "-B",
        "--schedule",
        str(fresh_beat_file(data_dir)),
        "--loglevel",
        "INFO",
    ]
    return Service(
        name="worker",
        command=[*words, "--concurrency", settings.get("WORKER_CONCURRENCY", "2")],
        environment=settings,
        log=data_dir / "log" / "worker.log",
        folder=root,
        grace=15,
    )


def fresh_beat_file(data_dir: Path) -> Path:
    """Where the schedule notes what it ran last; begun anew at each start: a hard kill may spoil it."""
    shutil.rmtree(data_dir / "beat", ignore_errors=True)
    (data_dir / "beat").mkdir()
    return data_dir / "beat" / "schedule"


def answers(port: int) -> bool:
    """Whether the web server says that everything is up."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

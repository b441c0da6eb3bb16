"""What ./run says once everything answers."""

import json
from pathlib import Path

from tools.launcher.ports import HOST

_MODEL = "openai/gpt-4o-mini"


def welcome(data_dir: Path, port: int) -> str:
    """Addresses, logins, keys and a first call to paste; logins and keys as the demo data noted them."""
    site = f"http://{HOST}:{port}"
    lines = [
        "",
        f"  Pages        {site}/",
        f"  Back office  {site}/admin/",
        f"  API          {site}/api/docs/",
    ]
    lines += [f"  Gateway      {site}/api/v1", f"  Logs         {data_dir / 'log'}/", ""]
    try:
        demo = json.loads((data_dir / "demo.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        demo = {}
    lines += _logins(demo)
    if key := demo.get("api_key"):
        lines += [*_keys(demo), "", "  A first call:", "", _call(site, key, demo.get("model", _MODEL))]
    else:
        lines += ["  A first organization and its key:", "", _first_organization()]
    return "\n".join([*lines, "", "  Ctrl-C stops everything."])


def _first_organization() -> str:
    return "  .venv/bin/python manage.py create_organization --email you@example.com --tier free --credit 10.00"


def _logins(demo: dict) -> list[str]:
    people = [("operator", demo["operator"])] if "operator" in demo else []
    people += [(user.get("organization", "user"), user) for user in demo.get("users", [])]
    return [f"  Login        {user['email']}  {user['password']}  ({role})" for role, user in people]


def _keys(demo: dict) -> list[str]:
    keys = [f"  API key      {demo['api_key']}"]
    return keys + ([f"  Test key     {demo['test_api_key']}"] if "test_api_key" in demo else [])


def _call(site: str, key: str, model: str) -> str:
    body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": "Say hello."}]})
    return (
        f"  curl -N {site}/api/v1/chat/completions \\\n    -H 'Authorization: Bearer {key}' \\\n"
        f"    -H 'Content-Type: application/json' \\\n    -d '{body}'"
    )

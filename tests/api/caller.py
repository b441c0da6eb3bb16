"""An API client that speaks like a customer's service."""

import json
from typing import Any

from django.test import Client

from accounts.models import Organization
from tests.builders import make_key


class Caller:
    """Calls ``/api/v1/`` with a key of one organization."""

    def __init__(self, organization: Organization, **terms) -> None:
        self.key, self.secret = make_key(organization, **terms)
        self.client = Client(headers={"authorization": f"Bearer {self.secret}"})

    def send(self, method: str, path: str, body: Any = None, **headers: str):
        """The raw response."""
        text = b"" if body is None else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(method, f"/api/v1/{path}", text, content_type="application/json", headers=headers)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and parsed body."""
        response = self.send(method, path, body, **headers)
        return response.status_code, json.loads(response.content) if response.content else None

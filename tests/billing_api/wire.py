"""A plain HTTP client of the wire, in this process."""

import json

from django.test import Client


class Wire:
    """A client of the wire with one token."""

    def __init__(self, secret=None, prefix="/v1/"):
        self.secret = secret
        self.prefix = prefix
        self.http = Client(raise_request_exception=False)

    def send(self, method, path, body=None, **options):
        headers = options.pop("headers", {"authorization": f"Bearer {self.secret}"} if self.secret else {})
        data = body if isinstance(body, bytes | str) else b"" if body is None else json.dumps(body)
        options.setdefault("content_type", "application/json")
        return self.http.generic(method, self.prefix + path, data, headers=headers, **options)

    def get(self, path):
        return self.send("GET", path)

    def post(self, path, body=None):
        return self.send("POST", path, body)


def refused(answer, status, error, detail=None):
    found = answer.json()
    assert (answer.status_code, found["error"]) == (status, error), found
    assert answer["Content-Type"] == "application/json"
    assert detail is None or found["detail"] == detail
    return found["detail"]


def places(answer):
    return [problem["loc"] for problem in refused(answer, 422, "RequestValidationError")]

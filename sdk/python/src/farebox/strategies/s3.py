"""Bytes that go to S3, or to anything that boto3 speaks to.

s3 = metered(boto3.client("s3"), Meter(recorder, name="storage-upload", customer="user_42"))
"""

from typing import Any

from farebox.strategies.usage import Meter

_UPLOADS = ("PutObject", "UploadPart")


def metered(client: Any, meter: Meter) -> Any:
    """The same client; every upload that succeeded is reported with its bytes, bucket and key, each part of a large one
    on its own."""
    for operation in _UPLOADS:
        client.meta.events.register(f"before-parameter-build.s3.{operation}", _note)
        client.meta.events.register(f"request-created.s3.{operation}", _measure)
        client.meta.events.register(f"after-call.s3.{operation}", lambda **told: _report(meter, **told))
    return client


def _note(params: Any, context: Any, **rest: Any) -> None:
    """What the call is about, before its request is made."""
    about = {"bucket": params.get("Bucket"), "key": params.get("Key"), "contentType": params.get("ContentType")}
    context["farebox"] = about


def _measure(request: Any, **rest: Any) -> None:
    """How long the body is that goes out."""
    noted = request.context.get("farebox")
    if noted is not None:
        noted["bytes"] = _length(request)


def _length(request: Any) -> int:
    decoded = request.headers.get("X-Amz-Decoded-Content-Length")
    announced = decoded or request.headers.get("Content-Length")
    if announced is not None:
        return int(announced)
    body = request.data
    if isinstance(body, str | bytes | bytearray):
        return len(body.encode() if isinstance(body, str) else body)
    if hasattr(body, "seek") and hasattr(body, "tell"):
        here = body.tell()
        end = body.seek(0, 2)
        body.seek(here)
        return int(end - here)
    return 0


def _report(meter: Meter, *, http_response: Any, context: Any, **rest: Any) -> None:
    noted = context.pop("farebox", None)
    if noted is None or http_response.status_code >= 300:
        return
    facts = {name: value for name, value in noted.items() if value is not None}
    meter.count(meter.name, {"strategy": "S3", **facts})

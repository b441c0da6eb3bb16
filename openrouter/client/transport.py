"""HTTP to the provider over ``requests``: pooled, bounded in time and size, typed errors, no key in any of them.

Reads are tried again; a write is sent once, because the provider has no idempotency keys.
"""

import threading
import time
from typing import Any

import msgspec
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from core import jsonio
from openrouter.client.errors import (
    ProviderAnswerInvalid,
    ProviderAnswerLost,
    ProviderError,
    ProviderNotConfigured,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnreachable,
    refusal_of,
)
from openrouter.retry_after import seconds_to_wait

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0  # between two pieces of the answer
WHOLE_SECONDS = 60.0  # for the whole answer
LARGEST_ANSWER = 64 * 1024 * 1024
_PAUSES = (0.2, 1.0)  # before the second and third try of a read
_LONGEST_WAIT = 5.0  # a longer Retry-After is left to the caller's own schedule
_POOL = 4
_PIECE = 65_536

_encode = msgspec.json.Encoder(decimal_format="number").encode
_local = threading.local()


class _Bearer(AuthBase):
    """Signs the request. As an auth object it also keeps ``requests`` from taking another key out of ~/.netrc."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._secret}"
        return request


def _session() -> requests.Session:
    """This thread's connections: a Session is not safe to share between threads."""
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None:
        session = requests.Session()
        adapter = HTTPAdapter(pool_connections=_POOL, pool_maxsize=_POOL, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        session.headers["User-Agent"] = "farebox"
        _local.session = session
    return session


class Transport:
    """Requests below one base URL, signed with one key."""

    def __init__(self, base_url: str, secret: str = "") -> None:
        if not base_url:
            raise ProviderNotConfigured("No address of the provider is configured for this mode.")
        self._base_url = base_url.rstrip("/")
        self._secret = secret

    def __repr__(self) -> str:
        return f"Transport({self._base_url})"

    def read(self, path: str, *, query: dict[str, str] | None = None, secret: str | None = None) -> Any:
        """GET, up to three times. ``secret`` signs instead of our own key. Raises ProviderError."""
        for pause in _PAUSES:
            answer = self._try("GET", path, query=query, secret=secret)
            if not isinstance(answer, ProviderError):
                return answer
            wait = pause if answer.retry_after is None else answer.retry_after
            if not _may_pass(answer) or wait > _LONGEST_WAIT:
                raise answer
            time.sleep(wait)
        return self._once("GET", path, query=query, secret=secret)

    def write(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST, PATCH or DELETE, once. Raises ProviderError; its ``outcome_unknown`` says whether it may be done."""
        return self._once(method, path, body=body)

    def _once(self, method: str, path: str, **options: Any) -> Any:
        answer = self._try(method, path, **options)
        if isinstance(answer, ProviderError):
            raise answer
        return answer

    def _try(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        secret: str | None = None,
    ) -> Any:
        """The parsed body, or the error.

        Errors are returned, not raised, inside this module: one raised while the library's own is handled would carry
        it along, and with it the signed request.
        """
        key = self._secret if secret is None else secret
        try:
            response = _session().request(
                method,
                f"{self._base_url}{path}",
                params=query,
                data=None if body is None else _encode(body),
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                auth=_Bearer(key) if key else None,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = _content(response)
        except requests.RequestException as error:
            return _failure(error)
        if content is None:
            return ProviderAnswerLost(f"{method} {path}: the answer is too long or took too long.")
        return _outcome(response, content, key)


def _content(response: requests.Response) -> bytes | None:
    """The whole body; None when it is larger or slower than we are ready to take."""
    content = bytearray()
    deadline = time.monotonic() + WHOLE_SECONDS
    for piece in response.iter_content(_PIECE):
        content += piece
        if len(content) > LARGEST_ANSWER or time.monotonic() > deadline:
            return None
    return bytes(content)


def _failure(error: requests.RequestException) -> ProviderError:
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    never_connected = isinstance(reason, NewConnectionError | ConnectTimeoutError)
    if never_connected or isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError):
        return ProviderUnreachable(f"The provider cannot be reached ({type(reason or error).__name__}).")
    return ProviderAnswerLost(f"The provider's answer did not arrive ({type(error).__name__}).")


def _outcome(response: requests.Response, content: bytes, key: str) -> Any:
    document = _parsed(content)
    if 200 <= response.status_code < 300:
        if document is None:
            return ProviderAnswerInvalid(f"{response.status_code}: the answer is not JSON.")
        return document
    message, error_type = _explanation(document)
    if key:
        message = message.replace(key, "[key]")
    return refusal_of(response.status_code, message, error_type, seconds_to_wait(response.headers.get("Retry-After")))


def _parsed(content: bytes) -> Any:
    """What can be kept of an answer: half a character in one model's description is no reason to read none."""
    try:
        return jsonio.loads(jsonio.storable(content))
    except (ValueError, RecursionError):
        return None


def _explanation(document: Any) -> tuple[str, str]:
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return "the provider gave no reason", ""
    metadata = error.get("metadata")
    error_type = metadata.get("error_type") if isinstance(metadata, dict) else ""
    return str(error.get("message") or "the provider gave no reason"), str(error_type or "")


def _may_pass(error: ProviderError) -> bool:
    """Whether the same read may succeed in a moment."""
    return isinstance(error, ProviderRateLimited) or not isinstance(error, ProviderRefused)

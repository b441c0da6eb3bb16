"""A local HTTP server that answers like Stripe's API, as far as Farebox uses it, with faults on demand."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

METHODS = {
    "pm_ok": {"brand": "visa", "last4": "4242"},
    "pm_declined": {"brand": "mastercard", "last4": "0341"},
    "pm_sca": {"brand": "visa", "last4": "3155"},
}

# What Stripe.js makes of a card on the merchant's page.
TOKENS = {"ctoken_ok": "pm_ok", "ctoken_declined": "pm_declined"}


class StripeDouble:
    """Objects by id, answers by idempotency key, and what went wrong on purpose."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, tuple[int, dict[str, Any], str]] = {}
        self.requests: list[tuple[str, str, dict[str, Any], str]] = []
        self.made = Counter()
        self.refund_status = "succeeded"
        self.faults: list[str] = []  # "before": fails without doing anything; "after": does it, then loses the answer
        self._numbers = count(1)
        self._lock = threading.Lock()
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                double.answer(self)

            def do_POST(self) -> None:
                double.answer(self)

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    # ------------------------------------------------------------ the protocol

    def answer(self, http: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(http.path)
        text = http.rfile.read(int(http.headers.get("Content-Length") or 0)).decode()
        params = nested(parse_qsl(text or parts.query, keep_blank_values=True))
        key = http.headers.get("Idempotency-Key", "")
        with self._lock:
            self.requests.append((http.command, parts.path, params, key))
            if http.headers.get("Authorization") != "Bearer sk_test_double":
                return self._send(http, 401, error("invalid_request_error", "Invalid API Key provided"))
            fault = self.faults.pop(0) if self.faults else ""
            if fault == "before":
                return self._send(http, 500, error("api_error", "Something is wrong on our end."))
            status, body = self._once(key, http.command, parts.path, params, text)
            if fault == "after":
                return self._send(http, 500, error("api_error", "The answer got lost."))
            return self._send(http, status, body)

    def _once(self, key: str, method: str, path: str, params: dict, text: str) -> tuple[int, dict]:
        # The library adds its own random key to every POST; only what comes again is answered from memory.
        if key in self.answers:
            status, body, first = self.answers[key]
            if first != path + text:
                return 400, error("idempotency_error", "Keys can only be used with the same parameters.")
            return status, body
        status, body = self._dispatch(method, path.removeprefix("/v1/"), params)
        if method == "POST" and key:
            self.answers[key] = (status, body, path + text)
        return status, body

    @staticmethod
    def _send(http: BaseHTTPRequestHandler, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        http.send_response(status)
        http.send_header("Content-Type", "application/json")
        http.send_header("Content-Length", str(len(data)))
        # The library would wait and try again by itself; these tests count single requests.
        http.send_header("Stripe-Should-Retry", "false")
        http.end_headers()
        http.wfile.write(data)

    # ------------------------------------------------------------ the objects

    def _dispatch(self, method: str, path: str, params: dict) -> tuple[int, dict]:
        parts = path.split("/")
        if method == "POST" and path == "checkout/sessions":
            return 200, self._session(params)
        if method == "POST" and path == "payment_intents":
            return self._charge(params)
        if method == "POST" and path == "customers":
            return 200, self.make("customer", "cus", **params)
        if method == "POST" and path == "setup_intents":
            return self._keep(params)
        if method == "POST" and path == "refunds":
            return self._refund(params)
        if method == "GET" and path == "payment_intents":
            found = [each for each in self.objects.values() if each["object"] == "payment_intent"]
            mine = [each for each in found if each["customer"] == params.get("customer", each["customer"])]
            return 200, {"object": "list", "url": "/v1/payment_intents", "has_more": False, "data": mine[::-1]}
        if method == "GET" and path == "refunds":
            found = [each for each in self.objects.values() if each.get("payment_intent") == params["payment_intent"]]
            mine = [each for each in found if each["object"] == "refund"]
            return 200, {"object": "list", "url": "/v1/refunds", "has_more": False, "data": mine[::-1]}
        if parts[-1] == "expire" and parts[2] in self.objects:
            return self._expire(self.objects[parts[2]])
        if (found := self.objects.get(parts[-1])) and method == "GET":
            return 200, self._expanded(found, params.get("expand") or {})
        return 404, error("invalid_request_error", f"No such object: {parts[-1]}", code="resource_missing")

    def make(self, kind: str, prefix: str, **fields: Any) -> dict[str, Any]:
        self.made[kind] += 1
        made = {"id": f"{prefix}_{next(self._numbers)}", "object": kind, **fields}
        self.objects[made["id"]] = made
        return made

    def _session(self, params: dict) -> dict[str, Any]:
        session = self.make(
            "checkout.session",
            "cs_test",
            mode=params["mode"],
            status="open",
            payment_status="unpaid",
            payment_intent=None,
            setup_intent=None,
            customer=params.get("customer"),
            metadata=params.get("metadata", {}),
            amount_total=None,
            asked=params,
        )
        if params["mode"] == "payment":
            price = params["line_items"]["0"]["price_data"]
            session["amount_total"] = int(price["unit_amount"])
        session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
        return session

    def pay(self, session_id: str, method: str = "pm_ok") -> dict[str, Any]:
        """Somebody pays on the page."""
        session = self.objects[session_id]
        asked = session["asked"]["payment_intent_data"]
        customer = session["customer"] or self.make("customer", "cus")["id"]
        intent = self.make(
            "payment_intent",
            "pi",
            amount=session["amount_total"],
            amount_received=session["amount_total"],
            customer=customer,
            payment_method=method,
            setup_future_usage=asked["setup_future_usage"],
            status="succeeded",
            metadata=asked["metadata"],
            last_payment_error=None,
        )
        session.update(status="complete", payment_status="paid", payment_intent=intent["id"], customer=customer)
        return session

    def give_back(self, intent_id: str, cents: int, status: str = "succeeded") -> dict[str, Any]:
        """Somebody refunds a payment in Stripe's dashboard; the charge as its event has it."""
        self.make("refund", "re", amount=cents, payment_intent=intent_id, metadata={}, status=status)
        return {"id": "ch_1", "object": "charge", "payment_intent": intent_id, "amount_refunded": cents}

    def save(self, session_id: str, method: str = "pm_ok") -> dict[str, Any]:
        """Somebody saves a card on the page."""
        session = self.objects[session_id]
        customer = session["customer"] or self.make("customer", "cus")["id"]
        intent = self.make("setup_intent", "seti", payment_method=method, customer=customer, status="succeeded")
        session.update(status="complete", setup_intent=intent["id"], customer=customer)
        return session

    def _charge(self, params: dict) -> tuple[int, dict]:
        method = params.get("payment_method") or TOKENS[params["confirmation_token"]]
        intent = self.make(
            "payment_intent",
            "pi",
            amount=int(params["amount"]),
            amount_received=0,
            customer=params["customer"],
            payment_method=method,
            setup_future_usage=params.get("setup_future_usage"),
            metadata=params["metadata"],
            last_payment_error=None,
        )
        refusal = {
            "pm_declined": {"code": "card_declined", "decline_code": "insufficient_funds"},
            "pm_sca": {"code": "authentication_required", "decline_code": "authentication_required"},
        }.get(method)
        if refusal is None:
            intent.update(status="succeeded", amount_received=intent["amount"])
            return 200, self._expanded(intent, params.get("expand") or {})
        failure = {"type": "card_error", "message": "Your card has insufficient funds.", **refusal}
        intent.update(status="requires_payment_method", last_payment_error=failure)
        return 402, {"error": {**failure, "payment_intent": intent}}

    def _keep(self, params: dict) -> tuple[int, dict]:
        method = TOKENS[params["confirmation_token"]]
        made = self.make("setup_intent", "seti", payment_method=method, customer=params["customer"], status="succeeded")
        return 200, self._expanded(made, params.get("expand") or {})

    def _refund(self, params: dict) -> tuple[int, dict]:
        if params["payment_intent"] not in self.objects:
            return 404, error("invalid_request_error", "No such payment_intent")
        facts = {"amount": int(params["amount"]), "payment_intent": params["payment_intent"]}
        made = self.make("refund", "re", metadata=params["metadata"], status=self.refund_status, **facts)
        return 200, dict(made)

    def _expire(self, session: dict) -> tuple[int, dict]:
        if session["status"] != "open":
            return 400, error("invalid_request_error", "Only Checkout Sessions with a status in [open] can be expired.")
        session["status"] = "expired"
        return 200, session

    def _expanded(self, found: dict, expand: dict) -> dict[str, Any]:
        """The object with the ids that ``expand`` names replaced by what they stand for."""
        shown = dict(found)
        for path in expand.values():
            name, _, rest = path.partition(".")
            value = shown.get(name)
            if name == "payment_method" and isinstance(value, str):
                shown[name] = {"id": value, "object": "payment_method", "type": "card", "card": METHODS[value]}
            elif isinstance(value, str):
                shown[name] = self._expanded(self.objects[value], {"0": rest} if rest else {})
        return shown


def error(kind: str, message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": message, **fields}}


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """``a[b][0]=c`` as nested dicts."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        *path, last = name.replace("]", "").split("[")
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return found

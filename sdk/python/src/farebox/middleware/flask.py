"""Flask.

count_requests(app, Meter(recorder, name="api-call"), customer=lambda: g.user_id)
"""

from collections.abc import Callable
from time import monotonic

from flask import Flask, Response, g, request

from farebox.middleware.request import customer_of, report
from farebox.strategies.usage import Meter


def count_requests(app: Flask, meter: Meter, customer: Callable[[], str | None]) -> None:
    """Count the application's answered requests. ``customer`` tells whose the current one is; None leaves it out."""

    @app.before_request
    def begin() -> None:
        g.farebox_began = monotonic()

    @app.after_request
    def note(response: Response) -> Response:
        whose = customer_of(customer)
        if whose is not None:
            rule = request.url_rule
            report(
                meter,
                customer=whose,
                method=request.method,
                route=rule.rule if rule is not None else "(no route)",
                status=response.status_code,
                began=g.get("farebox_began", monotonic()),
            )
        return response

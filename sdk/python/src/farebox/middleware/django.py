"""Django, sync and async.

# settings.py
MIDDLEWARE = [..., "myproject.metering.middleware"]
# myproject/metering.py
middleware = middleware_for(Meter(recorder, name="api-call"), customer=lambda request: str(request.user.pk))
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from farebox.middleware.request import customer_of, report
from farebox.strategies.usage import Meter


def middleware_for(meter: Meter, customer: Callable[[HttpRequest], str | None]) -> Any:
    """A middleware that counts answered requests. ``customer`` tells whose a request is; None leaves it out."""

    def note(request: HttpRequest, response: HttpResponseBase, began: float) -> None:
        whose = customer_of(customer, request)
        if whose is not None:
            match = request.resolver_match
            report(
                meter,
                customer=whose,
                method=request.method or "",
                route=match.route if match is not None else "(no route)",
                status=response.status_code,
                began=began,
            )

    @sync_and_async_middleware
    def middleware(get_response: Any) -> Any:
        if iscoroutinefunction(get_response):

            async def answer_async(request: HttpRequest) -> HttpResponseBase:
                began = monotonic()
                response: HttpResponseBase = await get_response(request)
                note(request, response, began)
                return response

            return answer_async

        def answer(request: HttpRequest) -> HttpResponseBase:
            began = monotonic()
            response: HttpResponseBase = get_response(request)
            note(request, response, began)
            return response

        return answer

    return middleware

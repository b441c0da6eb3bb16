"""The RateLimit headers of the REST API."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from accounts.ratelimits.headers import rate_limit_headers
from accounts.ratelimits.throttle import decision_of


class RateLimitHeadersMiddleware:
    """Adds the RateLimit headers to answers of requests that were counted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, then tell how much room is left."""
        response = self.get_response(request)
        if (decision := decision_of(request)) is not None:
            for name, value in rate_limit_headers(decision).items():
                response.headers.setdefault(name, value)
        return response

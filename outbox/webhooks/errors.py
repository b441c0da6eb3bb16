"""What is refused about webhooks."""

from core.errors import DomainError, InvalidRequest


class UrlRefused(InvalidRequest):
    """An address that nothing is sent to: not public, not HTTPS, or no address at all."""

    def __init__(self, why: str) -> None:
        super().__init__(why, errors=[{"field": "url", "code": "url_refused", "detail": why}])


class TooManyEndpoints(DomainError):
    """An organization has only so many endpoints."""

    code = "too_many_endpoints"
    status = 409
    title = "This organization has as many webhook endpoints as it can have. Delete one first."


class EndpointOff(DomainError):
    """The endpoint gets nothing at present."""

    code = "webhook_endpoint_off"
    status = 409
    title = "This endpoint is switched off. Switch it on first."

"""What can go wrong when the provider is asked. Every message is free of keys."""

from core.redaction import redact

_LONGEST = 250


class ProviderError(Exception):
    """The provider did not do what it was asked. ``outcome_unknown``: it may have done it all the same."""

    outcome_unknown = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(redact(message)[:_LONGEST])
        self.retry_after = retry_after  # seconds


class ProviderNotConfigured(ProviderError):
    """There is no address or no management key for this mode."""


class ProviderUnreachable(ProviderError):
    """No connection came about; nothing was asked."""


class ProviderAnswerLost(ProviderError):
    """The request may have arrived, its answer did not."""

    outcome_unknown = True


class ProviderUnavailable(ProviderError):
    """5xx, or an answer that came from something in front of the provider."""

    outcome_unknown = True


class ProviderAnswerInvalid(ProviderError):
    """A success whose body is not what the contract promises."""

    outcome_unknown = True


class ProviderRefused(ProviderError):
    """4xx: understood and not done."""

    def __init__(self, message: str, *, status: int, error_type: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {message}", retry_after=retry_after)
        self.status = status
        self.error_type = error_type


class ProviderUnauthorized(ProviderRefused):
    """401 or 403: the key is wrong, disabled, spent or of the wrong kind."""


class ProviderNotFound(ProviderRefused):
    """404."""


class ProviderRateLimited(ProviderRefused):
    """429."""


def refusal_of(status: int, message: str, error_type: str = "", retry_after: float | None = None) -> ProviderError:
    """The error that an HTTP status other than 2xx stands for."""
    if status >= 500 or status < 400:
        return ProviderUnavailable(f"{status}: {message}", retry_after=retry_after)
    kind = {401: ProviderUnauthorized, 403: ProviderUnauthorized, 404: ProviderNotFound, 429: ProviderRateLimited}
    return kind.get(status, ProviderRefused)(message, status=status, error_type=error_type, retry_after=retry_after)

"""Refusals of the provider side's API."""

from core.errors import DomainError


class NoProviderAccount(DomainError):
    """The organization has no OpenRouter account, or it was deleted."""

    code = "no_provider_account"
    status = 404
    title = "This organization has no OpenRouter account."


class InvalidRoutingRule(DomainError):
    """A routing rule names what does not exist, leads back to itself, or adds nothing."""

    code = "invalid_routing_rule"
    status = 400
    title = "The routing rule cannot be kept."


class AccountNotActive(DomainError):
    """Only an active account can be rotated, disabled or synced."""

    code = "provider_account_not_active"
    status = 409
    title = "The OpenRouter account is not active."


class AccountDisabled(DomainError):
    """An operator has suspended the account."""

    code = "provider_account_disabled"
    status = 403
    title = "The OpenRouter account was suspended by the operator."


class AccountBusy(DomainError):
    """Another request is just working on the account."""

    code = "provider_account_busy"
    status = 409
    title = "The OpenRouter account is being changed by another request."
    retry_after = 5


class ProviderNotAvailable(DomainError):
    """The provider could not be asked; nothing changed."""

    code = "provider_unavailable"
    status = 503
    title = "OpenRouter cannot be reached at the moment."
    retry_after = 10


class ByokNotAllowed(DomainError):
    """The organization's tier does not include own keys."""

    code = "byok_not_allowed"
    status = 403
    title = "Your tier does not allow an OpenRouter key of your own."


class ByokKeyRefused(DomainError):
    """The provider does not accept the key, or it is not one that may be used here."""

    code = "byok_key_refused"
    status = 422
    title = "This OpenRouter key cannot be used."


class ByokKeyUnreadable(DomainError):
    """No key of the ring opens what is stored: it was lost, or the row was altered. Storing it anew helps."""

    code = "byok_key_unreadable"
    status = 409
    title = "The stored OpenRouter key cannot be read any more. Enter it again."


class NoByokKey(DomainError):
    """The organization has stored no key of its own."""

    code = "no_byok_key"
    status = 404
    title = "No OpenRouter key of your own is stored."

"""OpenRouter's management API: keys, credits, activity, models, single generations. The hot path has its own client."""

from openrouter.client.api import OpenRouterClient, client_for
from openrouter.client.errors import (
    ProviderAnswerInvalid,
    ProviderAnswerLost,
    ProviderError,
    ProviderNotConfigured,
    ProviderNotFound,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnauthorized,
    ProviderUnavailable,
    ProviderUnreachable,
)
from openrouter.client.records import ActivityRow, Credits, FreeQuota, Generation, Key, NewKey, OwnKey

__all__ = [
    "ActivityRow",
    "Credits",
    "FreeQuota",
    "Generation",
    "Key",
    "NewKey",
    "OpenRouterClient",
    "OwnKey",
    "ProviderAnswerInvalid",
    "ProviderAnswerLost",
    "ProviderError",
    "ProviderNotConfigured",
    "ProviderNotFound",
    "ProviderRateLimited",
    "ProviderRefused",
    "ProviderUnauthorized",
    "ProviderUnavailable",
    "ProviderUnreachable",
    "client_for",
]

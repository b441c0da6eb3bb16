"""OpenRouter's management API: keys, credits, activity, models, single generations. The hot path has its own client."""

from openrouter.client.api import OpenRouterClient, client_for, reader_for
from openrouter.client.chat import Answer, Question, ask_model
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
    "Answer",
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
    "Question",
    "ask_model",
    "client_for",
    "reader_for",
]

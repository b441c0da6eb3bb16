"""Structured logs: one JSON object a line, a request id on each, never a secret, prompt or payload."""

import logging
import os

import structlog

from core.redaction import redact


def _redact_event(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


_SHARED: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _redact_event,
]

structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_SHARED,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)


def _renderer() -> structlog.types.Processor:
    if os.environ.get("LOG_FORMAT", "json") == "console":
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer()


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "structured": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processor": _renderer(),
            "foreign_pre_chain": _SHARED,
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.server": {"level": logging.WARNING},
        "axes": {"level": logging.ERROR},
        "httpx": {"level": logging.WARNING},
    },
}

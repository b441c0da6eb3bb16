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


# What the worker says of every run of every job, many a second; what fails, is tried again or warns is said by others.
_ROUTINE = ("Scheduler: Sending due task", " received", " succeeded in ")


def is_worth_telling(record: logging.LogRecord) -> bool:
    """Whether a line of the worker says more than that a job ran, which the table of runs and the metrics say too."""
    return record.levelno != logging.INFO or not any(words in str(record.msg) for words in _ROUTINE)


_LEVEL = os.environ.get("LOG_LEVEL", "INFO")
_OF_JOBS = {"filters": [] if _LEVEL == "DEBUG" else ["worth_telling"]}

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
    "filters": {"worth_telling": {"()": lambda: is_worth_telling}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
    "root": {"handlers": ["console"], "level": _LEVEL},
    "loggers": {
        "django.server": {"level": logging.WARNING},
        "axes": {"level": logging.ERROR},
        "httpx": {"level": logging.WARNING},
        "celery.beat": _OF_JOBS,
        "celery.worker.strategy": _OF_JOBS,
        "celery.app.trace": _OF_JOBS,
    },
}

"""What the worker's log says, and what would only fill it."""

import logging

import pytest
from celery.app import trace

from config.logs import LOGGING, is_worth_telling


def line(message, level=logging.INFO):
    return logging.LogRecord("celery", level, "", 0, message, None, None)


@pytest.mark.parametrize(
    ("message", "level", "told"),
    [
        ("Scheduler: Sending due task %s (%s)", logging.INFO, False),
        (trace.LOG_RECEIVED, logging.INFO, False),
        (trace.LOG_SUCCESS, logging.INFO, False),
        (trace.LOG_FAILURE, logging.ERROR, True),
        (trace.LOG_RETRY, logging.INFO, True),
        (trace.LOG_REJECTED, logging.INFO, True),
        ("beat: Starting...", logging.INFO, True),
        ("Message received from nobody", logging.WARNING, True),
    ],
)  # fmt: skip
def test_runs_without_news_are_left_out_and_all_else_is_told(message, level, told):
    assert is_worth_telling(line(message, level)) is told


def test_the_loggers_of_jobs_are_held_to_it():
    for name in ("celery.beat", "celery.worker.strategy", "celery.app.trace"):
        assert LOGGING["loggers"][name]["filters"] == ["worth_telling"]

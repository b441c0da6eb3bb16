"""The product for processes of tests: its limiter waits for a Redis that is busy instead of letting calls through."""

from accounts.ratelimits import limiter
from config.asgi import application as application

limiter.TIMEOUT_SECONDS = 30

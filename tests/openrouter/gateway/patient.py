"""The product for processes of tests: its limiter waits for a Redis that is busy instead of letting calls through."""

from importlib import import_module

application = import_module("config.asgi").application  # sets Django up, which the limiter's module needs
import_module("accounts.ratelimits.limiter").TIMEOUT_SECONDS = 30

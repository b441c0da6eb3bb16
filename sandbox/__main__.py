"""``python -m sandbox --port 4010 --data-dir var/sandbox``."""

import argparse

from sandbox.server import HOST, serve
from sandbox.settings import from_environment

DEFAULT_PORT = 4010


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that ``manage.py openrouter_sandbox`` shares; ``SANDBOX_…`` variables set the rest."""
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--data-dir", help="where the journal is kept; without it the books live in memory")
    parser.add_argument("--fast", action="store_true", default=None, help="gather journal lines for 20 ms")
    parser.add_argument("--management-key")
    parser.add_argument("--api-key")


def run(options: argparse.Namespace) -> None:
    """Serve with these options."""
    settings = from_environment(
        data_dir=options.data_dir,
        fast=options.fast,
        management_key=options.management_key,
        api_key=options.api_key,
    )
    serve(settings, host=options.host, port=options.port)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="sandbox", description="A local stand-in for OpenRouter.")
    add_arguments(parser)
    run(parser.parse_args())

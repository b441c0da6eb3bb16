"""``make bench`` or ``python -m benchmarks [ledger|gateway|growth|pages|analytics …]``: some of NAMES, or all."""

import argparse
import importlib
import os

NAMES = (
    "ledger",
    "ingest",
    "gateway",
    "serving",
    "close",
    "year",
    "growth",
    "meters",
    "what_if",
    "pages",
    "analytics",
    "estimator",
)


def main() -> None:
    """Run each measurement in turn; each module has a ``main(quick: bool)``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(NAMES)}; default: all")
    parser.add_argument("--quick", action="store_true", help="a few seconds each, for a first impression")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    for name in options.names or NAMES:
        importlib.import_module(f"benchmarks.{name}").main(quick=options.quick)


if __name__ == "__main__":
    main()

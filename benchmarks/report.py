"""How results are printed: Markdown tables, medians, and the ratio to the first row."""

import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from statistics import median


def describe_machine() -> str:
    """Processor count, Python and the commit: what a figure means nothing without."""
    import os

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, commit {commit or 'unknown'}"


def alternate(candidates: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median rate of each candidate; they run in turn, so that a noisy minute hits all of them alike."""
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, measure in candidates.items():
            rates[name].append(measure())
    return {name: median(values) for name, values in rates.items()}


def print_rates(title: str, rates: dict[str, float], unit: str) -> None:
    """A table whose last column compares with the first row."""
    base = next(iter(rates.values()))
    print(f"\n### {title}\n\n| | {unit} | ratio |\n| --- | ---: | ---: |")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rate / base:.2f} |", flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the (non-empty) values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]

"""How far estimates of a prompt's tokens are from the real tokenizer, by class, before and after learning.

Each vocabulary that we hold plays a model whose vocabulary we do not: its prompts are counted with another one, and
what it really makes of them is what its provider bills. Half of the texts teach, the other half judge.
"""

from random import Random
from statistics import mean

from benchmarks.corpus import corpus
from benchmarks.report import describe_machine
from metering.estimates.calibration import Calibration
from metering.estimates.content import CLASSES, DEFINITIONS
from metering.estimates.makeup import Makeup, Prompt
from metering.tokens import UNKNOWN, Family, count_tokens

VOCABULARIES = ("llama3", "qwen3", "deepseek_v3", "glm4", "kimi_k2", "mistral_v3", "gemma4", "phi4")
LESSONS = 400
_PER_MESSAGE, _PER_CALL = 4, 3


def main(*, quick: bool = False) -> None:
    """Print the table for every vocabulary, and how often the stated interval held."""
    print(f"\n## Estimates against the real tokenizer ({describe_machine()})")
    print("\nMean error of the likely count; in brackets how often the interval of nine in ten held.\n")
    names = [name for name in CLASSES if name != DEFINITIONS]
    print(f"| model's vocabulary | learned from | {' | '.join(names)} | mixed |")
    print(f"| --- | ---: |{' ---: |' * (len(names) + 1)}")
    for vocabulary in VOCABULARIES[: 2 if quick else None]:
        for lessons in (0, LESSONS):
            found = measure(vocabulary, lessons)
            print(f"| {vocabulary} | {lessons} | {' | '.join(found[name] for name in [*names, 'mixed'])} |", flush=True)


def measure(vocabulary: str, lessons: int) -> dict[str, str]:
    """A cell for each class and for prompts of several."""
    calibration = taught(vocabulary, lessons)
    family = Family(vocabulary, is_exact=True)
    cells = {}
    for name, texts in judged().items():
        told = [(calibration.count(makeup_of([text])), billed(family, [text])) for text in texts]
        cells[name] = _cell([(count.likely, count.low, count.p95, real) for count, real in told])
    random = Random(7)
    mixed = [_some_texts(random, judged()) for _ in range(300)]
    told = [(calibration.count(makeup_of(texts)), billed(family, texts)) for texts in mixed]
    cells["mixed"] = _cell([(count.likely, count.low, count.p95, real) for count, real in told])
    return cells


def taught(vocabulary: str, lessons: int) -> Calibration:
    """What a model with this vocabulary has taught after so many calls, when it is counted with o200k."""
    calibration, random = Calibration(UNKNOWN), Random(3)
    family = Family(vocabulary, is_exact=True)
    for number in range(lessons):
        texts = _some_texts(random, teaching())
        calibration.learn(makeup_of(texts), billed(family, texts))
        if number % 10 == 9:
            calibration.settle()
    return calibration


def makeup_of(texts: list[str]) -> Makeup:
    """The prompt as the gateway counts it."""
    return Prompt({"messages": [{"role": "user", "content": text} for text in texts]}).makeup(UNKNOWN.vocabulary)


def billed(family: Family, texts: list[str]) -> int:
    """The prompt as its provider counts it."""
    return sum(count_tokens(family, text) + _PER_MESSAGE for text in texts) + _PER_CALL


def teaching() -> dict[str, list[str]]:
    """Every second text."""
    return {name: texts[::2] for name, texts in corpus().items()}


def judged() -> dict[str, list[str]]:
    """The others."""
    return {name: texts[1::2] for name, texts in corpus().items()}


def _some_texts(random: Random, texts: dict[str, list[str]]) -> list[str]:
    names = random.choices(sorted(texts), k=random.randint(1, 6))
    return [random.choice(texts[name]) for name in names]


def _cell(rows: list[tuple[int, int, int, int]]) -> str:
    error = mean(abs(likely - real) / real for likely, _, _, real in rows)
    inside = mean(low <= real <= high for _, low, high, real in rows)
    return f"{error:.1%} ({inside:.0%})"

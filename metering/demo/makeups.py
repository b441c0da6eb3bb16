"""What the prompts of the demo data are made of, as if the gateway had counted them: figures that fit the bill."""

from random import Random
from typing import Any

from metering.demo.traffic import Use
from metering.estimates.content import CODE, DATA, DIGITS, PROSE
from metering.estimates.learning import Sized
from metering.estimates.makeup import Makeup
from metering.models import Kind
from metering.tokens import family_of

_MEASURED = 3  # one call in so many
_SHORTEST = 200  # tokens
# Tokens that an author's models bill for one of ours; those whose vocabulary we hold bill what is counted.
_BILLED = {
    "anthropic": {PROSE: 1.21, CODE: 1.28, DATA: 1.24, DIGITS: 1.9},
    "google": {PROSE: 1.02, CODE: 1.05, DATA: 0.98, DIGITS: 1.0},
}
_SAME = dict.fromkeys((PROSE, CODE, DATA, DIGITS), 1.0)
_PER_MESSAGE, _PER_CALL = 4, 5
_MIXES = ((0.86, 0.0, 0.1, 0.04), (0.55, 0.25, 0.16, 0.04), (0.4, 0.0, 0.48, 0.12))  # prose, code, data, digits
_CAP = 65_536


def sized_of(use: Use) -> dict[str, Any] | None:
    """The counts of one call in three; None of the others, and of what is no chat that succeeded."""
    if use.workload.kind != Kind.CHAT or use.status != "ok" or use.tokens_in < _SHORTEST or use.workload.is_byok:
        return None
    random = Random(f"{use.company.name} {use.occurred_at:%Y%m%d%H%M%S%f}")  # noqa: S311  (plausible, not secret)
    if random.randrange(_MEASURED):
        return None
    model = use.workload.model
    family, billed = family_of(model), _BILLED.get(model.partition("/")[0], _SAME)
    messages = random.randint(1, 5)
    noise = random.gauss(1, 0.002 if family.is_exact else 0.025)
    text = (use.tokens_in - _PER_MESSAGE * messages - _PER_CALL) / noise
    mix = zip(_SAME, random.choice(_MIXES), strict=True)
    tokens = {name: round(text * share / billed[name]) for name, share in mix if share}
    makeup = Makeup(family.vocabulary, tokens, messages)
    return Sized(makeup, use.tokens_in * 4 + 512, _CAP).facts()

"""Counting prompts for estimates to learn from: few enough that no call is felt to be slower.

What is counted is kept with the call's event as numbers by class of content; the text is not.
"""

import math
import time
from collections.abc import Callable

from core.plainsettings import settings
from metering.bounds import CallFacts
from metering.estimates.learning import Sized
from metering.estimates.makeup import Prompt
from metering.tokens import family_of
from openrouter.gateway.call import Call

# Counting takes up to 50 microseconds a kilobyte on a busy machine, which other calls wait for.
LONGEST_BODY = 32 * 1024
# These change the prompt on its way.
_CHANGED_BY = ("plugins", "transforms", "preset")
_MODELS_KEPT = 4_096


class Measuring:
    """Which calls of one process are measured: of each model one now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    def take(self, call: Call) -> None:
        """Note the makeup of the call's prompt, if it is its turn and all that will be billed can be counted."""
        if call.facts is None or len(call.body.raw) > LONGEST_BODY:
            return
        price, now = call.first.price, self._clock()
        model = price.model.id if price is not None else call.first.name
        is_due = now - self._last.get(model, -math.inf) >= settings.GATEWAY_MEASURE_SECONDS
        if not is_due or not _is_countable(call, call.facts):
            return
        self._note(model, now)
        makeup = Prompt(call.body.data).makeup(family_of(model).vocabulary)
        if makeup.total:
            call.sized = Sized(makeup, call.facts.prompt_tokens, call.ticket.output_cap).facts()

    def _note(self, model: str, now: float) -> None:
        if len(self._last) >= _MODELS_KEPT:
            self._last.clear()
        self._last[model] = now


def _is_countable(call: Call, facts: CallFacts) -> bool:
    """Text alone, read once, as it was sent."""
    if call.route.is_audio or facts.images or facts.audio_tokens or facts.searches or facts.fees or facts.answers != 1:
        return False
    return not any(call.body.data.get(name) for name in _CHANGED_BY)

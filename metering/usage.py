"""What one call used, as the provider counted it."""

from decimal import Decimal
from operator import attrgetter

import msgspec

# A part and the total that contains it, in the order in which parts of one total share it out.
_PARTS = (
    ("cached_tokens", "prompt_tokens", ()),
    ("cache_write_tokens", "prompt_tokens", ("cached_tokens",)),
    ("cache_write_1h_tokens", "cache_write_tokens", ()),
    ("cached_audio_tokens", "cached_tokens", ()),
    ("audio_tokens", "prompt_tokens", ("cached_tokens", "cache_write_tokens")),
    ("image_tokens", "prompt_tokens", ("cached_tokens", "cache_write_tokens", "audio_tokens")),
    ("reasoning_tokens", "completion_tokens", ()),
    ("audio_output_tokens", "completion_tokens", ("reasoning_tokens",)),
)


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Quantities of one call; whole numbers, except ``seconds``.

    Totals contain their parts, as on OpenRouter's wire: ``prompt_tokens`` holds cached, written, audio and
    image tokens, ``completion_tokens`` holds reasoning and spoken ones; ``cache_write_1h_tokens`` is the
    one-hour share of ``cache_write_tokens``, ``cached_audio_tokens`` the spoken share of ``cached_tokens``,
    while ``audio_tokens`` and ``image_tokens`` count only what was not read from or written to a cache.
    ``images`` are pictures sent, ``output_images`` pictures made.

    The total is the provider's own sum, so a part that exceeds what its total has left is cut down to it: a
    malformed count can never make a price negative or count a token twice. ``clamped`` names the parts that
    were cut. Raises ValueError for negative quantities and for numbers that are not whole.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cached_audio_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    images: int = 0
    output_images: int = 0
    searches: int = 0
    characters: int = 0
    requests: int = 1
    seconds: Decimal = Decimal(0)
    clamped: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        counts = _counts_of(self)
        if set(map(type, counts)) != _WHOLE or min(counts) < 0:
            self._refuse_counts()
        seconds = self.seconds
        if not isinstance(seconds, Decimal | int) or not Decimal(seconds).is_finite() or seconds < 0:
            raise ValueError(f"seconds must be a decimal number, zero or more: {self.seconds!r}")
        if any(_parts_of(self)):
            self._share_out()

    def _refuse_counts(self) -> None:
        for name in _COUNTS:
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} must be a whole number, zero or more: {value!r}")

    def _share_out(self) -> None:
        """Cut parts down to what their totals have left."""
        for part, total, before in _PARTS:
            if value := getattr(self, part):
                room = getattr(self, total) - sum(getattr(self, name) for name in before)
                if value > room:
                    msgspec.structs.force_setattr(self, part, room)
                    msgspec.structs.force_setattr(self, "clamped", (*self.clamped, part))

    @property
    def tokens(self) -> int:
        """All tokens of the call: what fees per 1,000 tokens are counted on."""
        return self.prompt_tokens + self.completion_tokens

    def as_facts(self) -> dict[str, int | Decimal]:
        """The quantities that are not zero, for storing beside a charge."""
        return {name: value for name in (*_COUNTS, "seconds") if (value := getattr(self, name))}


_COUNTS = tuple(name for name in TokenUsage.__struct_fields__ if name not in ("seconds", "clamped"))
_WHOLE = {int}
_counts_of = attrgetter(*_COUNTS)
_parts_of = attrgetter(*(part for part, _, _ in _PARTS))

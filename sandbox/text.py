"""The sandbox's tokenizer and its talk, both simple enough to predict.

**One token is four bytes of UTF-8**, a started group counts whole, and each message adds four tokens. Answers are
made of words of exactly four bytes (some of them not ASCII), so an answer of ``n`` tokens has ``4 * n`` bytes.
"""

import zlib

TOKEN_BYTES = 4
MESSAGE_TOKENS = 4


# Each word is padded to four bytes; none is longer. It says what it is to whoever tries the prompt lab.
_WORDS = (
    "the sun is no LLM and nor am I but you can try it all out né ét as if I was one 日 so ask me and see how it is "
    "cut 🙂 and fed to you bit by bit as any big one áé may do it ok 水 end"
)
_CYCLE = b"".join(word.encode().ljust(TOKEN_BYTES) for word in _WORDS.split())
_CYCLE_TOKENS = len(_CYCLE) // TOKEN_BYTES
_LONG = _CYCLE * 64


def count_tokens(text: str) -> int:
    """Tokens of a piece of text, without any message overhead."""
    size = len(text) if text.isascii() else len(text.encode())
    return -(-size // TOKEN_BYTES)


def talk(tokens: int, seed: int) -> bytes:
    """UTF-8 text of exactly ``tokens`` tokens; the seed picks where it starts."""
    start = seed % _CYCLE_TOKENS * TOKEN_BYTES
    size = tokens * TOKEN_BYTES
    if start + size > len(_LONG):
        return (_CYCLE * (size // len(_CYCLE) + 2))[start : start + size]
    return _LONG[start : start + size]


def seed_of(model: str, prompt: str) -> int:
    """The number that decides what is said and how long: the same for the same model and prompt."""
    return zlib.crc32(prompt.encode("utf-8", "surrogatepass"), zlib.crc32(model.encode()))


def natural_length(seed: int) -> int:
    """How many tokens an answer has when nothing else decides: 20 to 83."""
    return 20 + (seed >> 8) % 64

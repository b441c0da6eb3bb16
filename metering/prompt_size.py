"""The longest a prompt can be in tokens, from the request alone: an upper bound, for sizing holds.

Every vocabulary in use covers at least one byte of text with each token, so text has at most as many tokens
as UTF-8 bytes, and the JSON that carries it has more bytes than its text: the quotes, braces and field names
around each message outweigh the marks that the model's chat template puts there. So the size of the request
body is a bound that costs nothing to compute. Long prompts of models whose vocabulary we hold are counted
instead, with a margin: four times closer. Pictures and sound are taken out and bounded by what a model makes
of one; what has no size in the request (a video, a file behind a link) counts as the model's whole context,
which nothing can exceed. docs/rating.md explains.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from metering.errors import UnpriceableCall
from metering.tokens import Family, count_tokens, family_of

# What providers add unseen: the chat template's own preamble, and the instructions that come with tools.
PREAMBLE = 128
TOOLS_PREAMBLE = 1024
# Below this counting gains nothing worth its time; above the other it takes longer than it is worth.
COUNT_FROM_BYTES = 4096
COUNT_TO_BYTES = 512 * 1024
# Against differences of whitespace and of joins between parts when the provider renders the prompt.
COUNT_MARGIN_PERCENT = 125
COUNT_PER_TEXT = 16
# However well a text packs (long runs of blanks are one token), a token is not taken for more than this.
COUNT_MOST_BYTES_PER_TOKEN = 4
# The most tokens that one picture becomes, by model id; the first match counts.
IMAGE_TOKENS = (
    ("openai/gpt-4o-mini", 48_200),  # 2,833 and 5,667 for each of up to 8 tiles
    ("openai/gpt-4o", 1_500),
    ("openai/", 10_240),  # 32-pixel patches, at most 10,000 at original detail
    ("anthropic/", 4_800),
    ("google/gemini", 2_600),
    ("~anthropic/", 4_800),
    ("~google/gemini", 2_600),
)
IMAGE_TOKENS_OTHERWISE = 16_400  # the largest published: 16,384 patches
# Sound at no less than 8 kbit/s compressed or 128 kbit/s raw, and at most 32 tokens a second, as base64.
SOUND_BYTES_PER_TOKEN = 32
RAW_SOUND_BYTES_PER_TOKEN = 256
_RAW_SOUND = ("wav", "pcm16", "pcm24")


class PromptSize(NamedTuple):
    """Upper bounds of one request's prompt. ``tokens`` includes the sound's and the pictures'.

    ``basis`` says how: ``bytes``, ``count`` (the model's own vocabulary) or ``context`` (the model's whole
    context).
    """

    tokens: int
    basis: str
    images: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0
    files: int = 0


def prompt_upper_bound(
    body: Mapping[str, Any], size: int, *, models: Sequence[str] = (), context_length: int | None = None
) -> PromptSize:
    """Bounds for a chat, completion or embedding request: the decoded ``body``, and its ``size`` in bytes.

    ``size`` is that of the JSON as it is sent, ``models`` all that may serve it, ``context_length`` their
    largest. Raises UnpriceableCall when a part has no bound and the context is not known either.
    """
    parts = _Parts()
    parts.read(body)
    image_tokens = 0
    if parts.images:
        image_tokens = parts.images * max(map(_image_tokens, models), default=IMAGE_TOKENS_OTHERWISE)
    tokens = max(size - parts.blob_bytes, 0) + PREAMBLE + image_tokens + parts.audio_tokens
    if body.get("tools") or body.get("functions"):
        tokens += TOOLS_PREAMBLE
    basis = "bytes"
    if tokens > COUNT_FROM_BYTES and models:
        families = {family_of(model) for model in models}
        if all(family.is_exact for family in families):
            tokens, basis = tokens - _saved_by_counting(parts.texts, families), "count"
    if parts.is_open_ended and context_length is None:
        raise UnpriceableCall("The request holds a part whose size is not known.")
    if context_length is not None and (parts.is_open_ended or tokens > context_length):
        tokens, basis = context_length, "context"
    return PromptSize(tokens, basis, parts.images, image_tokens, parts.audio_tokens, parts.files)


def prompt_texts(body: Mapping[str, Any]) -> list[str]:
    """Every text of the prompt, in order: what counting counts."""
    parts = _Parts()
    parts.read(body)
    return parts.texts


def _image_tokens(model: str) -> int:
    for prefix, tokens in IMAGE_TOKENS:
        if model.startswith(prefix):
            return tokens
    return IMAGE_TOKENS_OTHERWISE


def _saved_by_counting(texts: list[str], families: Collection[Family]) -> int:
    """How many tokens fewer than bytes the texts are, at least, in whichever of the vocabularies."""
    saved, left = 0, COUNT_TO_BYTES
    for text in texts:
        size = utf8_size(text)
        left -= size
        if left < 0:
            break
        count = max(count_tokens(family, text) for family in families)
        bound = max(count * COUNT_MARGIN_PERCENT // 100, size // COUNT_MOST_BYTES_PER_TOKEN) + COUNT_PER_TEXT
        saved += max(size - bound, 0)
    return saved


def utf8_size(text: str) -> int:
    """Bytes of ``text`` in UTF-8; half a surrogate pair counts as three."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


class _Parts:
    """What a request's prompt is made of."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.blob_bytes = 0  # base64 inside the JSON that is not text to the model
        self.images = 0
        self.audio_tokens = 0
        self.files = 0
        self.is_open_ended = False

    def read(self, body: Mapping[str, Any]) -> None:
        for message in _objects(body.get("messages")):
            self._content(message.get("content"))
            if "images" in message:
                self._content(message["images"])
            if message.get("audio"):  # an earlier spoken answer, by its id
                self.is_open_ended = True
        for name in ("prompt", "input"):
            if name in body:
                self._content(body[name])

    def _content(self, content: Any) -> None:
        if isinstance(content, str):
            self.texts.append(content)
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, str):
                    self.texts.append(part)
                elif isinstance(part, Mapping):
                    self._part(part)

    def _part(self, part: Mapping[str, Any]) -> None:
        match part.get("type"):
            case "text" | "input_text":
                self._content(part.get("text"))
            case "image_url" | "input_image" | "image":
                self._image(part)
            case "input_audio":
                self._sound(part.get("input_audio"))
            case "file" | "input_file":
                self._file(part.get("file", part))
            case "video_url" | "input_video" | "video":
                self.is_open_ended = True
            case None:
                self._content(part.get("content"))  # an embedding input of several parts

    def _image(self, part: Mapping[str, Any]) -> None:
        self.images += 1
        link = part.get("image_url")
        url = link.get("url") if isinstance(link, Mapping) else link
        if isinstance(url, str) and url.startswith("data:"):
            self.blob_bytes += len(url)

    def _sound(self, sound: Any) -> None:
        data = sound.get("data") if isinstance(sound, Mapping) else None
        if not isinstance(data, str) or data.startswith(("http:", "https:")):
            self.is_open_ended = True
            return
        self.blob_bytes += len(data)
        each = RAW_SOUND_BYTES_PER_TOKEN if sound.get("format") in _RAW_SOUND else SOUND_BYTES_PER_TOKEN
        self.audio_tokens += len(data) // each + 1

    def _file(self, file: Any) -> None:
        """A document sent along has fewer tokens than base64 bytes; one behind a link may have any number."""
        self.files += 1
        data = file.get("file_data") if isinstance(file, Mapping) else None
        if not isinstance(data, str) or not data.startswith("data:"):
            self.is_open_ended = True


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping):
                yield item

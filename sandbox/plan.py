"""What a call will say and use, decided before its first byte, from model, prompt and wishes alone."""

import base64
import json
from typing import Any

import msgspec

from sandbox.catalogue import Model
from sandbox.directives import Directives
from sandbox.pricing import Quantities
from sandbox.text import MESSAGE_TOKENS, count_tokens, natural_length, seed_of, talk
from sandbox.wire import Refusal

_DEFAULT_REASONING = 16
_OVERRUN_TOKENS = 8
_PIXEL = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d49444154789c6360f8cfc000000301010018dd8db00000000049454e44ae426082"
    )
).decode()


class Message(msgspec.Struct, gc=False):
    """One message of a chat; unknown members are accepted."""

    role: str
    content: str | list[Any] | None = None


class ChatRequest(msgspec.Struct, gc=False):
    """The members of a request that change what the sandbox does; all others are accepted and ignored."""

    messages: list[Message] | None = None
    prompt: str | list[Any] | None = None
    model: str | None = None
    models: list[str] = []
    stream: bool | None = False
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    provider: dict[str, Any] | None = None
    service_tier: str | None = None
    plugins: list[Any] | None = None
    web_search_options: Any = None
    reasoning: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    user: str | None = None
    session_id: str | None = None


class Prompt(msgspec.Struct, gc=False):
    """What was sent in, counted."""

    tokens: int
    images: int
    audio: int
    last: str  # the newest piece of text, which decides the answer


class Plan(msgspec.Struct, gc=False):
    """An answer in full, and what it uses."""

    used: Quantities
    text: bytes  # UTF-8, to be cut only at multiples of four bytes
    thought: bytes
    tool: tuple[str, str] | None  # name and arguments
    finish: str | None
    seed: int
    image: str | None = None  # data URL


def read_prompt(request: ChatRequest) -> Prompt:
    """Count the tokens, images and audio of a request."""
    if request.messages is None:
        return _read_text(request.prompt)
    tokens = images = audio = 0
    last = ""
    for message in request.messages:
        content = message.content
        tokens += MESSAGE_TOKENS
        if type(content) is str:
            tokens += count_tokens(content)
            last = content
            continue
        for part in content or ():
            if not isinstance(part, dict):
                continue
            kind = part.get("type")
            if kind == "text":
                last = str(part.get("text", ""))
                tokens += count_tokens(last)
            elif kind == "image_url":
                images += 1
            elif kind == "input_audio":
                heard = count_tokens(str(_part(part, "input_audio").get("data", "")))
                audio += heard
                tokens += heard
    return Prompt(tokens, images, audio, last)


def _read_text(prompt: str | list[Any] | None) -> Prompt:
    pieces = prompt if isinstance(prompt, list) else [prompt or ""]
    tokens = sum(count_tokens(piece) if isinstance(piece, str) else 1 for piece in pieces)
    last = next((piece for piece in reversed(pieces) if isinstance(piece, str)), "")
    return Prompt(tokens, 0, 0, last)


def make_plan(request: ChatRequest, prompt: Prompt, model: Model, wishes: Directives, fault: str | None) -> Plan:
    """Decide the whole answer. Raises Refusal (400) when the prompt does not fit the model."""
    prompt_tokens = prompt.tokens if wishes.prompt is None else wishes.prompt
    _check_context(prompt_tokens, model)
    seed = seed_of(model.id, prompt.last)
    reasoning = _reasoning_tokens(request, model, wishes)
    tool = _tool_call(request, wishes)
    shaped = None if tool else _shaped_text(request)
    visible = _visible_tokens(wishes, seed, tool, shaped)
    limit = request.max_completion_tokens or request.max_tokens or model.entry.max_completion_tokens
    finish = "tool_calls" if tool else "stop"
    if fault == "overrun":
        visible = max(0, (limit or 0) + _OVERRUN_TOKENS - reasoning)
    elif limit is not None and reasoning + visible > limit:
        reasoning = min(reasoning, limit)
        visible, tool, shaped, finish = limit - reasoning, None, None, "length"
    if fault == "empty":
        reasoning, visible, tool, shaped = 0, 0, None, None
    used = _quantities(request, prompt, model, wishes, prompt_tokens)
    used.completion, used.reasoning = reasoning + visible, reasoning
    return Plan(
        used=used,
        text=b"" if tool else shaped or talk(visible, seed),
        thought=talk(reasoning, seed + 1),
        tool=tool,
        finish=None if fault == "empty" else wishes.finish or finish,
        seed=seed,
        image=f"data:image/png;base64,{_PIXEL}" if used.images_out else None,
    )


def _check_context(prompt_tokens: int, model: Model) -> None:
    longest = model.entry.context_length
    if prompt_tokens > longest:
        raise Refusal(
            400,
            f"This endpoint's maximum context length is {longest} tokens. However, you requested about "
            f"{prompt_tokens} tokens.",
            "context_length_exceeded",
            fallback=True,
        )


def _quantities(
    request: ChatRequest, prompt: Prompt, model: Model, wishes: Directives, prompt_tokens: int
) -> Quantities:
    """All that is used but the completion."""
    cached = min(wishes.cached, prompt_tokens)
    images_out = wishes.images
    if images_out is None:
        images_out = int("image" in model.entry.output_modalities)
    return Quantities(
        prompt=prompt_tokens,
        cached=cached,
        written=min(wishes.written, prompt_tokens - cached),
        long_lived=wishes.ttl == "1h",
        audio=min(prompt.audio, prompt_tokens - cached),
        images=prompt.images,
        images_out=images_out,
        searches=_searches(request, wishes),
    )


def _visible_tokens(wishes: Directives, seed: int, tool: tuple[str, str] | None, shaped: bytes | None) -> int:
    if tool is not None:
        return count_tokens(tool[0]) + count_tokens(tool[1])
    if shaped is not None:
        return -(-len(shaped) // 4)
    return natural_length(seed) if wishes.tokens is None else wishes.tokens


def _reasoning_tokens(request: ChatRequest, model: Model, wishes: Directives) -> int:
    asked = request.reasoning or {}
    effort = asked.get("effort") or request.reasoning_effort
    if effort == "none" or asked.get("enabled") is False:
        return 0
    if wishes.reasoning is not None:
        return wishes.reasoning
    return _DEFAULT_REASONING if model.reasons else 0


def _searches(request: ChatRequest, wishes: Directives) -> int:
    if wishes.searches is not None:
        return wishes.searches
    web = any(isinstance(plugin, dict) and plugin.get("id") == "web" for plugin in request.plugins or ())
    online = (request.model or "").endswith(":online")
    return 1 if web or online or request.web_search_options is not None else 0


def _tool_call(request: ChatRequest, wishes: Directives) -> tuple[str, str] | None:
    """A call of the tool that must be called; without such a duty only the ``tool`` directive makes one."""
    functions = [
        tool["function"]
        for tool in request.tools or ()
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict)
    ]
    choice = request.tool_choice
    if isinstance(choice, dict):
        name = _part(choice, "function").get("name")
        functions = [function for function in functions if function.get("name") == name]
    elif choice != "required" and not wishes.tool:
        return None
    if not functions:
        return ("sandbox_tool", "{}") if wishes.tool else None
    function = functions[0]
    return str(function.get("name")), json.dumps(_example(_part(function, "parameters")))


def _shaped_text(request: ChatRequest) -> bytes | None:
    """JSON as ``response_format`` asks for, in ASCII."""
    shape = request.response_format or {}
    if shape.get("type") == "json_schema":
        value = _example(_part(_part(shape, "json_schema"), "schema"))
    elif shape.get("type") == "json_object":
        value = {"answer": "the sun saw the old man"}
    else:
        return None
    return json.dumps(value).encode()


def _part(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """A member that should be an object; anything else counts as an empty one."""
    value = whole.get(name)
    return value if isinstance(value, dict) else {}


def _example(schema: dict[str, Any]) -> Any:
    """A small value that fits a JSON schema."""
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return choices[0]
    match schema.get("type"):
        case "object" | None:
            properties = _part(schema, "properties")
            return {name: _example(part) for name, part in properties.items() if isinstance(part, dict)}
        case "array":
            return [_example(_part(schema, "items") or {"type": "string"})]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case "string":
            return "the sun"
        case _:
            return None

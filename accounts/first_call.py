"""A call that works as it is, in the languages people paste from."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest

MODEL = "openai/gpt-4o-mini"
PLACEHOLDER = "YOUR_KEY"


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code to copy."""

    label: str
    text: str


def suggest_by(choose: Callable[[UUID], str]) -> None:
    """Let ``choose`` name the model for an organization: whoever knows tiers and prices registers here at start."""
    _choosers[:] = [choose]


def first_call(request: HttpRequest, organization_id: UUID, secret: str = PLACEHOLDER) -> list[Snippet]:
    """The same chat call for curl, Python and TypeScript, against the host that is being looked at."""
    base = request.build_absolute_uri("/api/v1")
    model = _choosers[0](organization_id) if _choosers else MODEL
    return [Snippet(label, text.format(base=base, secret=secret, model=model)) for label, text in _TEXTS]


_choosers: list[Callable[[UUID], str]] = []


_CURL = """\
curl {base}/chat/completions \\
  -H "Authorization: Bearer {secret}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{model}",
       "messages": [{{"role": "user", "content": "Say hello"}}]}}'"""

_PYTHON = """\
from openai import OpenAI

client = OpenAI(base_url="{base}", api_key="{secret}")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Say hello"}}],
)
print(answer.choices[0].message.content)"""

_TYPESCRIPT = """\
import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{base}", apiKey: "{secret}" }});
const answer = await client.chat.completions.create({{
  model: "{model}",
  messages: [{{ role: "user", content: "Say hello" }}],
}});
console.log(answer.choices[0].message.content);"""

_TEXTS = (("curl", _CURL), ("Python", _PYTHON), ("TypeScript", _TYPESCRIPT))

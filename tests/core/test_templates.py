"""What every template must keep to, so that the strict content policy never breaks a page."""

import ast
import html
import re
from pathlib import Path

import pytest
from django.conf import settings

TEMPLATES = sorted((Path(settings.BASE_DIR) / "templates").rglob("*.html"))
INLINE_STYLE = re.compile(r"<style|\sstyle\s*=", re.I)
INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)", re.I)
HANDLER = re.compile(r"\son[a-z]+\s*=\s*[\"']|javascript:|hx-on", re.I)
FOREIGN = re.compile(r"(?:src|href|action)=[\"'](?:https?:)?//", re.I)


@pytest.mark.parametrize(
    "template", TEMPLATES, ids=lambda path: path.relative_to(settings.BASE_DIR / "templates").as_posix()
)
def test_a_template_has_no_inline_style_script_or_foreign_address(template):
    text = template.read_text(encoding="utf-8")
    for rule in (INLINE_STYLE, INLINE_SCRIPT, HANDLER, FOREIGN):
        assert not rule.search(text), rule.pattern


def test_vendored_files_are_those_that_the_list_names():
    import hashlib

    folder = Path(settings.BASE_DIR) / "static/vendor"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for file in folder.iterdir():
        if file.suffix in (".js", ".woff2"):
            assert hashlib.sha256(file.read_bytes()).hexdigest()[:16] in listed, file.name


def test_styles_and_scripts_ask_no_other_host():
    for file in [
        *(Path(settings.BASE_DIR) / "static/css").glob("*.css"),
        *(Path(settings.BASE_DIR) / "static/js").glob("*.js"),
    ]:
        assert not re.search(r"https?://(?!www\.w3\.org)", file.read_text(encoding="utf-8")), file.name


# ---------------------------------------------------------------- words

_BLOCKS = re.compile(r"{%\s*blocktrans(?:late)?\b.*?{%\s*endblocktrans(?:late)?\s*%}|{#.*?#}", re.S)
_TAGS = re.compile(r"{%.*?%}|{{.*?}}", re.S)
_NO_TEXT = re.compile(r"<!--.*?-->|<(script|svg|code|noscript\s+data)\b.*?</\1>", re.S | re.I)
_SAID_BY_ATTRIBUTES = re.compile(r"\b(?:title|placeholder|aria-label|alt|data-(?:done|failed|label))=\"([^\"]*)\"")
_ELEMENT = re.compile(r"<[^>]*>", re.S)
# Names, units, and what is read by programs: the same in every language.
_SAME_EVERYWHERE = {
    "Farebox",
    "OpenRouter",
    "ms",
    "USD",
    "UTC",
    "webhook",
    "id",
    "sk",
    "or",
    "openai",
    "gpt",
    "mini",
} | {
    *("hx", "headers", "CSRFToken"),
}


def words_of(template: str) -> set[str]:
    """What a template says without asking for a translation."""
    text = _TAGS.sub(" ", _BLOCKS.sub(" ", template))
    said = " ".join(_SAID_BY_ATTRIBUTES.findall(text))
    plain = html.unescape(_ELEMENT.sub(" ", _NO_TEXT.sub(" ", text)))
    return set(re.findall(r"[^\W\d_]{2,}", f"{plain} {said}")) - _SAME_EVERYWHERE


# The back office speaks English; the page of a broken server is read without Django.
PAGES = [path for path in TEMPLATES if "admin" not in path.parts and path.name not in ("swagger_ui.html", "500.html")]


def test_every_word_that_a_template_says_can_be_translated():
    found = {path.name: words for path in PAGES if (words := words_of(path.read_text(encoding="utf-8")))}
    assert found == {}


def test_words_that_cannot_be_translated_are_found():
    assert words_of('<p title="{{ x }} Hello">{% translate "Fine" %} plain{% comment %}') == {"Hello", "plain"}
    assert words_of("{% blocktranslate %}<b>all of it</b>{% endblocktranslate %}{# unseen #}<code>x-y</code>") == set()


_SAYING = {"success", "error", "warning", "info"}


def unmarked(source: str) -> list[str]:
    """Words in code that people read on pages: messages, refusals, and the labels of forms."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        said: list[ast.expr] = [
            each.value for each in node.keywords if each.arg in ("label", "help_text", "empty_label")
        ]
        if called.startswith("messages.") and called.rpartition(".")[2] in _SAYING:
            said += node.args[1:2]
        if called == "PermissionDenied":
            said += node.args
        if called.startswith(("forms.", "messages.", "PermissionDenied", "DayField")):
            found += [ast.unparse(each) for each in said if isinstance(each, ast.JoinedStr) or _is_text(each)]
    return found


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and bool(node.value)


APPS = (
    "accounts",
    "outbox",
    "credits",
    "payments",
    "tiers",
    "coupons",
    "metering",
    "openrouter",
    "billing",
    "core",
    "reports",
    "advice",
)
CODE = [
    path
    for app in APPS
    for path in sorted((Path(settings.BASE_DIR) / app).rglob("*.py"))
    if not {"admin", "migrations", "management"} & set(path.parts)
    and not path.name.startswith(("admin", "routing_form"))  # the back office
]


def test_every_word_that_a_page_gets_from_code_can_be_translated():
    found = {str(path): words for path in CODE if (words := unmarked(path.read_text(encoding="utf-8")))}
    assert found == {}


def test_unmarked_words_in_code_are_found():
    assert unmarked('messages.success(request, "Done.")\nforms.CharField(label="Name")') == ["'Done.'", "'Name'"]
    assert unmarked('messages.error(request, _("No."))\nforms.CharField(label=_("Name"))') == []

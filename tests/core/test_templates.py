"""What every template must keep to, so that the strict content policy never breaks a page."""

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

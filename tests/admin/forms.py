"""The fields of a page's form, read from its HTML as a browser does."""

from html.parser import HTMLParser
from typing import Any


class Form(HTMLParser):
    """``fields``: what a browser would send back unchanged; ``kinds``: which sort of field each is."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: dict[str, list[str]] = {}
        self.kinds: dict[str, str] = {}
        self._is_ours = False
        self._choosing = self._writing = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        about = dict(attrs)
        name = about.get("name") or ""
        if tag == "form":
            self._is_ours = about.get("method", "").lower() == "post" and about.get("id") != "logout-form"
        elif tag == "option" and self._choosing and ("selected" in about or not self.fields[self._choosing]):
            self.fields[self._choosing] = [about.get("value", "")]
        elif self._is_ours and name and name != "csrfmiddlewaretoken":
            getattr(self, f"_{tag}", lambda *_: None)(name, about)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_ours = False
        self._choosing = "" if tag == "select" else self._choosing
        self._writing = "" if tag == "textarea" else self._writing

    def handle_data(self, data: str) -> None:
        if self._writing:
            self.fields[self._writing] = ["".join(self.fields[self._writing]) + data]

    def _input(self, name: str, about: dict[str, Any]) -> None:
        kind = about.get("type", "text")
        if kind == "submit":
            return
        self.kinds[name] = kind
        found = self.fields.setdefault(name, [])
        if kind not in ("checkbox", "radio") or "checked" in about:
            found.append(about.get("value", ""))

    def _select(self, name: str, _about: dict[str, Any]) -> None:
        self.kinds[name], self.fields[name], self._choosing = "select", [], name

    def _textarea(self, name: str, _about: dict[str, Any]) -> None:
        self.kinds[name], self.fields[name], self._writing = "textarea", [""], name

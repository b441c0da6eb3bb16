"""Every block of docs/usage-billing.md runs, in its order, and prints what its comments say."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.billing_api.clients.test_node_clients import ROOT, node  # noqa: F401  (a fixture)

pytestmark = pytest.mark.django_db
PAGE = (ROOT / "docs" / "usage-billing.md").read_text()
BLOCK = re.compile(r"```(python|javascript)\n(.*?)```", re.DOTALL)
COMMENT = re.compile(r"(?:print|console\.log)\(.*\);? +(?:#|//) (.+)$", re.MULTILINE)


def blocks(language):
    return [text for kind, text in BLOCK.findall(PAGE) if kind == language]


def promised(text):
    """What the comments beside prints promise, up to the words that explain it."""
    return [re.split(r"[,;:] | cents", comment)[0] for comment in COMMENT.findall(text)]


def test_the_page_runs_from_nothing_to_the_second_invoice(merchant, monkeypatch, capsys, request):
    monkeypatch.setenv("SPAIRE_ACCESS_TOKEN", merchant.token)
    monkeypatch.setenv("FAREBOX_URL", merchant.url)
    names = {"__name__": "page"}
    assert len(blocks("python")) == 11
    for text in blocks("python"):
        exec(compile(text, "usage-billing.md", "exec"), names)
        assert capsys.readouterr().out.splitlines() == promised(text), text
    names["client"].__exit__(None, None, None)
    program, folder = request.getfixturevalue("node")
    for text in blocks("javascript"):
        result = subprocess.run(
            [program, "--input-type=module", "-"],
            input=text,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", "SPAIRE_ACCESS_TOKEN": merchant.token, "FAREBOX_URL": merchant.url},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert (result.returncode, result.stdout.splitlines()) == (0, promised(text)), result.stderr


def test_the_page_names_the_clients_that_are_tested():
    requirements = (ROOT / "requirements-dev.txt").read_text()
    packages = (Path(__file__).parent / "node" / "package.json").read_text()
    assert "spaire-sdk==0.28.4" in PAGE and "spaire-sdk==0.28.4" in requirements
    for name, version in re.findall(r"(@[\w-]+/[\w-]+)@([\d.]+)", PAGE):
        assert f'"{name}": "{version}"' in packages

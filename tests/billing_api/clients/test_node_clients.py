"""The unmodified Node clients against a live server. Without Node or its packages each is skipped and counted."""

import subprocess
from pathlib import Path

import pytest

from tools.launcher.nodeclients import find_node, folder_of

pytestmark = pytest.mark.django_db
HERE = Path(__file__).parent / "node"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def node():
    """The program, and the folder from which its packages are found."""
    found, folder = find_node(), folder_of(ROOT)
    if found is None:
        pytest.skip("no Node.js found")
    if not (folder / "node_modules").is_dir():
        pytest.skip("the Node clients are not installed; ./test does that where npm is")
    return found, folder


@pytest.mark.parametrize("script", ["spaire", "ingestion", "polar"])
def test_the_published_node_clients_run_unmodified(node, merchant, script):
    program, folder = node
    result = subprocess.run(
        [program, "--input-type=module", "-"],
        input=(HERE / f"{script}.mjs").read_text(),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "SPAIRE_ACCESS_TOKEN": merchant.token, "FAREBOX_URL": merchant.url},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-4000:]

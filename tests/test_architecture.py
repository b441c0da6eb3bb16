"""The shape of the code: who may import whom, how long things may get, where floats and HTTP may be.

Each rule is also shown to fail on a tree of a few lines.
"""

from pathlib import Path

import pytest

from tests import architecture

ROOT = Path(__file__).resolve().parent.parent

# Longer than the rule, each for a reason; what has shrunk must leave the list.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {
    "openrouter/gateway/admission.py:admit": "half of it names the fields of the call it makes",
    "openrouter/gateway/bill.py:record_of": "one constructor, a line for each column of the event",
    "openrouter/gateway/reads/generation.py:_document": "one document, a line for each field",
}
# A float that is no amount.
FLOATS: dict[str, str] = {
    "billing_api/objects/events.py: float()": "what an event was sent with, shown as it was sent",
    "metering/estimates/models.py: FloatField": "errors of counts, and answers that fade",
    "metering/estimates/shapes.py: FloatField": "shares of calls",
    "openrouter/retry_after.py: float()": "seconds of a Retry-After header",
}
POSITIONAL_SERVICES: dict[str, str] = {
    "credits/services/holds.py: note_hold_progress": "reads as its subject and its change",
}


def test_imports_go_one_way():
    assert architecture.wrong_imports(ROOT) == []
    assert architecture.relative_imports(ROOT) == []


def test_long_files_have_a_reason():
    assert set(architecture.long_files(ROOT)) == set(LONG_FILES)


def test_long_functions_have_a_reason():
    assert set(architecture.long_functions(ROOT)) == set(LONG_FUNCTIONS)


def test_money_is_never_a_float():
    assert {without_line(finding) for finding in architecture.floats(ROOT)} == set(FLOATS)
    assert architecture.inexact_json(ROOT) == []


def test_only_the_provider_folders_speak_http():
    assert architecture.http_clients(ROOT) == []


def test_services_take_their_arguments_by_name():
    found = {without_line(finding) for finding in architecture.positional_services(ROOT)}
    assert found == set(POSITIONAL_SERVICES)


def without_line(finding):
    path, _line, words = finding.split(":", 2)
    return f"{path}:{words}"


def test_the_checks_see_the_whole_tree():
    seen = {path.split("/")[0] for path, _ in architecture.sources(ROOT)}
    assert {"core", "accounts", "outbox", "credits", "tiers", "metering", "openrouter", "config", "tools"} <= seen
    assert len(list(architecture.services(ROOT))) > 20


# ---------------------------------------------------------------- each rule can fail


@pytest.fixture
def tree(tmp_path):
    """Write the files of a small project: source by path."""

    def write(files):
        for name, source in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("place", "source", "finding"),
    [
        ("credits/a.py", "from tiers.models import Tier", "credits/a.py:1: credits imports tiers"),
        ("core/a.py", "import accounts.models", "core/a.py:1: core imports accounts"),
        ("core/a.py", "def f():\n    from credits import services", "core/a.py:2: core imports credits"),
        ("coupons/a.py", "import metering", "coupons/a.py:1: coupons imports metering"),
        ("metering/a.py", "from coupons import models", "metering/a.py:1: metering imports coupons"),
        ("metering/a.py", "import config.settings", "metering/a.py:1: metering imports config"),
        ("accounts/a.py", "link = ForeignKey('credits.Hold')", "accounts/a.py:1: accounts imports credits"),
        ("openrouter/a.py", "import sandbox", "openrouter/a.py:1: openrouter imports sandbox"),
        ("sandbox/a.py", "import openrouter", "sandbox/a.py:1: sandbox imports openrouter"),
        ("sdk/python/farebox/a.py", "import core", "sdk/python/farebox/a.py:1: sdk imports core"),
        ("tools/a.py", "import config.settings", "tools/a.py:1: tools imports config.settings"),
    ],
)
def test_wrong_import_is_found(tree, place, source, finding):
    assert architecture.wrong_imports(tree({place: source})) == [finding]


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("openrouter/a.py", "from metering.services import record_usage\nimport core.money"),
        ("metering/a.py", "import metering.models, credits.services, requests_mock"),
        ("config/a.py", "import openrouter, coupons, sandbox"),
        ("sandbox/a.py", "import core.money"),
        ("tools/a.py", "from config.local import read_env_file"),
        ("tests/a.py", "import openrouter, sandbox"),
        ("accounts/migrations/a.py", "link = ForeignKey('credits.Hold')"),
    ],
)
def test_right_import_is_not(tree, place, source):
    assert architecture.wrong_imports(tree({place: source})) == []


def test_relative_import_is_found(tree):
    assert architecture.relative_imports(tree({"core/a.py": "from . import b"})) == ["core/a.py:1: relative import"]


def test_file_of_401_lines_is_found_and_of_400_is_not(tree):
    root = tree({"core/a.py": "x = 1\n" * 401, "core/b.py": "x = 1\n" * 400, "tests/c.py": "x = 1\n" * 500})
    assert architecture.long_files(root) == {"core/a.py": 401}


def test_function_of_41_lines_is_found_and_of_40_is_not(tree):
    source = "def long():\n" + "    x = 1\n" * 40 + "def short():\n" + "    x = 1\n" * 39
    assert architecture.long_functions(tree({"core/a.py": source})) == {"core/a.py:long": 41}


def test_floats_are_found_where_money_is(tree):
    root = tree({"credits/a.py": "x = float('1')\ny = models.FloatField()", "sandbox/a.py": "x = float('1')"})
    assert architecture.floats(root) == ["credits/a.py:1: float()", "credits/a.py:2: FloatField"]


def test_json_that_reads_floats_is_found(tree):
    root = tree({"openrouter/a.py": "json.loads(text)", "core/jsonio.py": "json.loads(text, parse_float=Decimal)"})
    assert architecture.inexact_json(root) == ["openrouter/a.py:1: json.loads"]


@pytest.mark.parametrize("client", sorted(architecture.HTTP_CLIENTS))
def test_http_client_is_found_outside_the_provider_folders(tree, client):
    root = tree({"metering/a.py": f"import {client}", "openrouter/a.py": f"import {client}"})
    assert architecture.http_clients(root) == [f"metering/a.py:1: {client}"]


def test_service_with_two_nameless_arguments_is_found(tree):
    direct = "def spend(account, amount): ...\ndef hold(request, *, at): ...\ndef _own(a, b): ..."
    offered = "def switch(a, b): ...\ndef helper(a, b): ..."
    root = tree(
        {
            "credits/services.py": direct,
            "tiers/services/__init__.py": "from tiers.services.plans import switch",
            "tiers/services/plans.py": offered,
        }
    )
    found = architecture.positional_services(root)
    assert found == ["credits/services.py:1: spend", "tiers/services/plans.py:1: switch"]

"""What tests/test_architecture.py asks of a source tree. Each check returns findings as ``path:line: words``."""

import ast
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

_CHAIN = ("core", "accounts", "outbox", "credits", "payments", "tiers", "metering", "openrouter")
# What each folder may import of ours, besides itself. Not listed: free (config, tests, benchmarks).
MAY_IMPORT: dict[str, set[str]] = {
    **{name: set(_CHAIN[:place]) for place, name in enumerate(_CHAIN)},
    "coupons": {"core", "accounts", "outbox", "credits", "payments", "tiers"},
    "billing": {*_CHAIN[:-1], "coupons"},
    "billing_api": {*_CHAIN, "coupons", "billing"},
    "advice": {*_CHAIN, "coupons"},
    "reports": {*_CHAIN, "coupons"},
    "sandbox": {"core"},
    "sdk": set(),
    "tools": {"config"},  # config.local alone: the one part of it that needs nothing installed
}
OURS = {*MAY_IMPORT, "config"}
# A command is an edge: this one hands over to the stand-in and needs an installed app to be found in.
COMMANDS = {("openrouter/management/commands/openrouter_sandbox.py", "sandbox")}
MONEY_FOLDERS = (
    *("accounts", "advice", "billing", "billing_api", "core", "coupons", "credits", "metering", "openrouter", "outbox"),
    *("payments", "tiers"),
)
HTTP_CLIENTS = {"requests", "aiohttp", "httpx", "httpx2", "urllib3", "http.client", "urllib.request"}
HTTP_FOLDERS = {"openrouter", "outbox", "sandbox", "sdk", "tools", "benchmarks", "tests"}  # outbox: webhooks, outwards
LONGEST_FILE = 400
LONGEST_FUNCTION = 40
_SKIPPED = {"migrations", "node_modules", "var", "dist"}
_MODEL_NAME = re.compile(r"([a-z_]+)\.[A-Z][A-Za-z]+")


@cache
def sources(root: Path) -> list[tuple[str, ast.Module]]:
    """Every Python file of ours below ``root``: its path from there and its tree."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        for path in (Path(folder) / name for name in sorted(files) if name.endswith(".py")):
            tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
            found.append((path.relative_to(root).as_posix(), tree))
    return found


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Absolute dotted names that a module imports, also inside functions, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def model_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """``app.Model`` strings: a foreign key by name is an import too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _MODEL_NAME.fullmatch(node.value):
            yield node.lineno, node.value


def wrong_imports(root: Path) -> list[str]:
    """Imports that go against the order of the apps, between siblings, or out of a folder that stands alone."""
    found = []
    for path, tree in sources(root):
        folder = path.split("/")[0]
        allowed = MAY_IMPORT.get(folder)
        if allowed is None:
            continue
        for line, name in {*imports(tree), *model_names(tree)}:
            target = name.split(".")[0]
            if target in OURS - {folder} - allowed and (path, target) not in COMMANDS:
                found.append(f"{path}:{line}: {folder} imports {target}")
            elif folder == "tools" and target == "config" and not f"{name}.".startswith("config.local."):
                found.append(f"{path}:{line}: tools imports {name}")
    return sorted(set(found))


def relative_imports(root: Path) -> list[str]:
    """``from . import``: hides from the other checks where a name comes from."""
    return [
        f"{path}:{node.lineno}: relative import"
        for path, tree in sources(root)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def long_files(root: Path) -> dict[str, int]:
    """Files above LONGEST_FILE lines with their length; tests are lists and may be long."""
    lengths = {}
    for path, _tree in sources(root):
        lines = len((root / path).read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE and not path.startswith("tests/"):
            lengths[path] = lines
    return lengths


def long_functions(root: Path) -> dict[str, int]:
    """Functions above LONGEST_FUNCTION lines, as ``path:name``, with their length."""
    lengths = {}
    for path, tree in sources(root):
        if path.startswith("tests/"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    lengths[f"{path}:{node.name}"] = lines
    return lengths


def floats(root: Path) -> list[str]:
    """``float(...)`` and FloatField in folders that hold or move money."""
    found = []
    for path, tree in sources(root):
        if path.split("/")[0] not in MONEY_FOLDERS:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
                found.append(f"{path}:{node.lineno}: float()")
            elif isinstance(node, ast.Name | ast.Attribute) and _last_name(node) == "FloatField":
                found.append(f"{path}:{node.lineno}: FloatField")
    return found


def inexact_json(root: Path) -> list[str]:
    """``json.loads``/``json.load`` outside core, which would read an amount as a float."""
    found = []
    for path, tree in sources(root):
        if path.split("/")[0] not in set(MONEY_FOLDERS) - {"core"}:
            continue
        for node in ast.walk(tree):
            reads = isinstance(node, ast.Attribute) and node.attr in {"load", "loads"}
            if reads and isinstance(node.value, ast.Name) and node.value.id == "json":
                found.append(f"{path}:{node.lineno}: json.{node.attr}")
    return found


def http_clients(root: Path) -> list[str]:
    """HTTP clients imported where no provider is called."""
    found = set()
    for path, tree in sources(root):
        if path.split("/")[0] in HTTP_FOLDERS:
            continue
        for line, name in imports(tree):
            if any(f"{name}.".startswith(f"{client}.") for client in HTTP_CLIENTS):
                found.add(f"{path}:{line}: {name}")
    return sorted(found)


def positional_services(root: Path) -> list[str]:
    """Services that take more than their one subject (a batch, a request, an id) without its name."""
    found = []
    for path, function in services(root):
        positional = [*function.args.posonlyargs, *function.args.args]
        if len(positional) > 1 or function.args.vararg:
            found.append(f"{path}:{function.lineno}: {function.name}")
    return found


def services(root: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """The public functions of each ``app/services.py``, or those that ``app/services/__init__.py`` offers."""
    trees = {path: tree for path, tree in sources(root) if path.split("/")[0] in OURS}
    for path, tree in trees.items():
        app, _, rest = path.partition("/")
        if rest == "services.py":
            yield from ((path, function) for function in _functions(tree) if not function.name.startswith("_"))
        elif rest == "services/__init__.py":
            yield from _offered(app, tree, trees)


def _offered(
    app: str, package: ast.Module, trees: Mapping[str, ast.Module]
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in package.body:
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(f"{app}.services."):
            continue
        path = (node.module or "").replace(".", "/") + ".py"
        offered = {alias.name for alias in node.names}
        yield from ((path, function) for function in _functions(trees[path]) if function.name in offered)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _last_name(node: ast.Name | ast.Attribute) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr

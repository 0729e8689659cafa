"""Whatever the sources write into a folder of ours is in the list by which it is removed again."""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Iterator
from pathlib import Path

from gemma_backend.session import belongings

ROOTS = [Path(__file__).parents[3] / part for part in ("app", "backend")]
LISTS = {
    "data_dir": belongings.RUNTIMES,
    "cache_dir": belongings.CACHES,
    "state_dir": belongings.RECORDS + belongings.CONVERSATIONS,
    "log_dir": belongings.LOGS,
    "config_dir": belongings.CONFIGURATION,
}


def names() -> Iterator[tuple[str, str]]:
    """Folder and first name below it, for each `data_dir() / "name"` in the sources; what varies in a name is `*`."""
    for path in (path for root in ROOTS for path in root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                kind, name = _folder(node.left), _name(node.right)
                if kind is not None and name is not None:
                    yield kind, name


def _folder(node: ast.expr) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    if called == "ensure" and node.args:
        return _folder(node.args[0])
    return called if called in LISTS else None


def _name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
    return None


def test_every_name_in_the_sources_is_in_its_list() -> None:
    found = set(names())
    assert len(found) >= 20
    assert {(kind, name) for kind, name in found if not any(fnmatch.fnmatch(name, one) for one in LISTS[kind])} == set()


def test_no_list_names_what_nothing_writes() -> None:
    found = set(names())
    # The Debian package's command, copies beside a file, and files on their way to their name.
    others = {"program", "log", "bugs.log.1", "endpoints-????????", "typed.[0-9]*", "config.toml.*", ".config.toml.*"}
    unused = {
        (kind, one)
        for kind, patterns in LISTS.items()
        for one in set(patterns) - others
        if not any(where == kind and fnmatch.fnmatch(name, one) for where, name in found)
    }
    assert unused == set()

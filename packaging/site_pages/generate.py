"""Writes the pages that are made from the program: troubleshooting, licences, commands, tables of the reference.

python -m site_pages.generate           # writes them (`make pages`)
python -m site_pages.generate --check   # exit code 1 where one on disk is another
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path
from textwrap import fill

from gemma_backend.engine.causes import CAUSES
from site_pages.reference import command_page, reference_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LOCK = ROOT / "packaging" / "requirements" / "run.txt"
# What a package's metadata says in words of its own, in the words of SPDX.
SPDX = {"BSD": "BSD-3-Clause", "BSD 3-Clause License": "BSD-3-Clause", "MPL-2.0 AND MIT": "MPL-2.0 AND MIT"}
CLASSIFIERS = {"MIT License": "MIT", "Apache Software License": "Apache-2.0", "BSD License": "BSD-3-Clause"}
# Packages of other platforms, which are not installed where this runs.
ELSEWHERE = {"colorama": "BSD-3-Clause", "httpx2-jsfetch": "BSD-3-Clause"}


FAILURES = """When an engine fails, the program says why in a sentence and what to do; `gemma-tui engine explain LOG`
does the same for any vLLM log, and `gemma-tui doctor` looks for what can be seen before a start. These are the causes
it knows. Where a place is marked with `…` the real message has a figure or a name."""
PACKAGES = """gemma-tui is under the Apache License 2.0. For itself it installs these packages, unmodified, with the
licences that each states; what a runtime holds besides (vLLM, torch and their needs) is listed by `pip` there."""


def troubleshooting() -> str:
    """The page of failures: each sentence that the program says, and what to do."""
    rows = ["# Troubleshooting", "", *fill(" ".join(FAILURES.split()), 120).splitlines(), ""]
    rows += ["![A log, explained](images/explain.svg)", ""]
    for cause in CAUSES:
        rows += [f"## {_shown(cause.sentence)}", "", _shown(cause.advice) or "Start it again.", ""]
    return "\n".join(rows)


def licences() -> str:
    """The page of licences: every package that the program installs for itself, by the lock."""
    rows = ["# Licences of dependencies", "", *fill(" ".join(PACKAGES.split()), 120).splitlines(), ""]
    rows += ["| package | licence | asked for by |", "| --- | --- | --- |"]
    direct = _direct()
    rows += [
        f"| {name} | {licence(name)} | {'gemma-tui' if name in direct else 'another package'} |" for name in locked()
    ]
    rows += [
        "",
        "soxr is under the LGPL: it is used as it is published, as a library that can be exchanged.",
        "",
    ]
    return "\n".join(rows)


def locked() -> list[str]:
    """Names of the packages in the lock, each once."""
    return list(dict.fromkeys(re.findall(r"^([A-Za-z0-9_.-]+)==", LOCK.read_text("utf-8"), re.MULTILINE)))


def licence(name: str) -> str:
    """The licence that a package states, as an SPDX expression; KeyError for a classifier that is not known here."""
    try:
        told = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ELSEWHERE[name]
    said = told.get("License-Expression") or told.get("License")
    if said and len(said) < 80:
        return SPDX.get(said, said)
    classified = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier", []) if one.startswith("License")]
    return " AND ".join(CLASSIFIERS[one] for one in classified)


def _direct() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {re.split(r"[<>=\[ ;]", requirement)[0] for requirement in project["dependencies"]}


def _shown(text: str) -> str:
    return re.sub(r"\{\w+\}", "…", text)


PAGES = {
    "troubleshooting.md": troubleshooting,
    "licences.md": licences,
    "commands.md": command_page,
    "reference.md": reference_page,
}


def main() -> int:
    """Write the pages, or with --check say which are stale."""
    stale = 0
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text("utf-8") != text:
            print(f"docs/{name} is not what `make pages` would write", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())

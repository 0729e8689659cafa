"""MkDocs hooks: the README is the first page, and links that leave the docs folder lead to the files' text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]


def on_files(files: Files, config: Any) -> Files:
    """Add README.md as index.md."""
    text = (ROOT / "README.md").read_text("utf-8").replace("](docs/", "](")
    # What lies outside docs/ is not part of the site: its name stays, the link goes.
    text = re.sub(r"\[([^\]]+)\]\((?!https?:|[a-z][\w-]*\.md|images/|#)[^)]+\)", r"\1", text)
    files.append(File.generated(config, "index.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links of a page in docs/ to files outside it: the name stays, the link goes."""
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]+\)", r"\1", markdown)

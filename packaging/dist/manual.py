"""Manual pages from the parsers: gemma-tui.1 and one for each subcommand, the same bytes for the same parsers."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from argparse_manpage.manpage import Manpage

from dist.parsers import commands, whole
from gemma_tui import __version__
from gemma_tui.cli.main import build_parser
from gemma_tui.exit_codes import EXIT_CODES

FILES = """\
.TP
.I ~/.config/gemma-tui/config.toml
Settings; \\fBgemma-tui config show\\fR says where each value came from.
.TP
.I ~/.local/share/gemma-tui
Runtimes.
.TP
.I ~/.local/state/gemma-tui
Conversations, records of running engines, and logs.
.TP
.I ~/.cache/gemma-tui
What can be made again.
"""

EXIT = "\n".join(f".TP\n{code}\n{text.replace('`', '')}." for code, text in EXIT_CODES.items())


def pages() -> dict[str, str]:
    """Every page's text by its file name."""
    # The footer's date is the only thing that would differ between two builds.
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")
    # Help is wrapped to the terminal, which must not show in a page.
    os.environ["COLUMNS"] = "100"
    top = _page(build_parser([]), "gemma-tui", "run Gemma 4 E2B on this machine: text, pictures and sound")
    # The options of a subcommand are on its own page.
    found = {"gemma-tui.1": re.sub(r"(?ms)^\.SH COMMAND .*?(?=^\.SH COMMENTS)", "", top)}
    for name, child in commands(whole()).items():
        line = (child.description or name).rstrip(".")
        found[f"gemma-tui-{name}.1"] = _page(child, f"gemma-tui-{name}", line[0].lower() + line[1:])
    return found


def write(folder: Path) -> None:
    """Write every page into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _page(parser: argparse.ArgumentParser, title: str, line: str) -> str:
    data = {"project_name": "gemma-tui", "version": __version__, "manual_title": "User Commands", "description": line}
    page = Manpage(parser, data)
    # A title is one word, whatever is typed.
    page.prog = title
    page.add_section("files", ">", FILES)
    page.add_section("exit status", ">", EXIT)
    return str(page)


if __name__ == "__main__":
    write(Path(sys.argv[1]))

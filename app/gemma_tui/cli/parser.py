"""The parser of every command: a mistake is one sentence, in which nothing that was typed can move the cursor."""

from __future__ import annotations

import argparse
import math

# As in `typing`, whose import would take a tenth of the time to the first frame.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose mistakes are one line, and whose numbers say what a number is; no abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **(kwargs | {"allow_abbrev": False}))
        self.register("type", int, _whole)
        self.register("type", float, _number)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the options are listed, and exit with 2."""
        from gemma_backend.text.clean import clean

        said = clean(message, keep_newlines=False)
        self.exit(2, f"{self.prog}: {said}. See {self.prog} --help\n")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return value

"""A prompt made of examples: what a base model needs in place of an instruction. Pure functions on values."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass

from gemma_backend.types import BadInput

ARROWS = ("=>", "->", "→")


@dataclass(frozen=True, slots=True)
class FewShot:
    """Examples of a task and the case that the model is to go on with.

    `input_label` and `output_label` stand before each input and output ("English", "French"); with an empty one its
    text stands alone. `separator` goes between examples.
    """

    examples: tuple[tuple[str, str], ...]
    query: str = ""
    instruction: str = ""
    input_label: str = "Input"
    output_label: str = "Output"
    separator: str = "\n\n"

    def prompt(self) -> str:
        """The text to continue; it ends right behind the label, since a space there would be a token of its own."""
        blocks = [self.instruction.strip()] if self.instruction.strip() else []
        blocks += [
            f"{_labelled(self.input_label, given)}\n{_labelled(self.output_label, wanted)}"
            for given, wanted in self.examples
        ]
        asked = f"{_labelled(self.input_label, self.query)}\n" if self.query or self.input_label else ""
        blocks.append(asked + (f"{self.output_label}:" if self.output_label else ""))
        return self.separator.join(blocks)

    def stop(self) -> tuple[str, ...]:
        """Where a base model is to stop, since it would write the next example too."""
        if all("\n" not in wanted for _, wanted in self.examples):
            return ("\n",)
        return (self.separator,) if self.separator.strip("\n") or not self.input_label else (f"\n{self.input_label}:",)


def parse_examples(text: str) -> tuple[tuple[str, str], ...]:
    """Read examples: one a line as `input => output` (or `->`, `→`, a tab), JSON Lines of two texts, or CSV.

    In JSON a line is a list of two, or an object with `input` and `output` (or any two texts). An escaped newline `\\n`
    in a line is one. Raises BadInput with the number of the line that cannot be read.
    """
    examples = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        pair = _json_pair(line) if line.lstrip()[:1] in ("{", "[") else _line_pair(line)
        if pair is None:
            raise BadInput(
                f"Line {number} of the examples has no input and output: write them as `input => output`, in two "
                "columns, or as JSON."
            )
        examples.append(pair)
    return tuple(examples)


def _labelled(label: str, text: str) -> str:
    if not label:
        return text
    return f"{label}: {text}" if text else f"{label}:"


def _line_pair(line: str) -> tuple[str, str] | None:
    for arrow in (*ARROWS, "\t"):
        given, found, wanted = line.partition(arrow)
        if found and given.strip() and wanted.strip():
            return _unescaped(given), _unescaped(wanted)
    row = next(csv.reader([line]), [])
    return (_unescaped(row[0]), _unescaped(row[1])) if len(row) == 2 and row[0].strip() and row[1].strip() else None


def _json_pair(line: str) -> tuple[str, str] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return _line_pair(line)
    if isinstance(value, dict):
        named = [value.get(name) for name in ("input", "output")]
        value = named if all(isinstance(one, str) for one in named) else list(value.values())
    if isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value):
        return value[0], value[1]
    return None


def _unescaped(text: str) -> str:
    return text.strip().replace("\\n", "\n")

"""The prompt library: files in the configuration folder's `prompts`, beside a few that ship."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gemma_assets
from gemma_backend.config.paths import config_dir
from gemma_backend.config.toml_text import parse, read_text
from gemma_backend.types.errors import BadInput

LARGEST = 1 << 20
TEXT = "text"
"""The variable that stands for what is in the composer."""

_VARIABLE = re.compile(r"\{\{\s*([a-z][a-z0-9_]*)\s*\}\}")
_GIVEN = re.compile(r"""([a-z][a-z0-9_]*)=("([^"]*)"|'([^']*)'|\S*)\s*""")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with variables `{{name}}`; `defaults` are values for those that need not be given."""

    name: str
    title: str
    text: str
    defaults: Mapping[str, str] = field(default_factory=dict)

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables in the order in which they stand in the text."""
        return tuple(dict.fromkeys(_VARIABLE.findall(self.text)))

    def filled(self, values: Mapping[str, str]) -> str:
        """The text with its variables replaced; one without a value stays as it is."""
        known = {**self.defaults, **values}
        return _VARIABLE.sub(lambda match: known.get(match[1], match[0]), self.text)

    def missing(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The variables that have neither a value nor a default."""
        return tuple(name for name in self.variables if name not in values and name not in self.defaults)


def list_prompts() -> list[Prompt]:
    """Every prompt by name; a person's own takes the place of a shipped one. A file that cannot be read is left out."""
    found: dict[str, Prompt] = {}
    for folder in (gemma_assets.path("prompts"), config_dir() / "prompts"):
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            if path.suffix in (".toml", ".md", ".txt") and not path.name.startswith("."):
                try:
                    prompt = read_prompt(path)
                except BadInput:
                    continue
                found[prompt.name] = prompt
    return [found[name] for name in sorted(found)]


def read_prompt(path: Path) -> Prompt:
    """Read one file: a `.toml` with `title`, `text` and a table `variables` of defaults, or the text alone.

    Raises BadInput where it is none.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path} is too long for a prompt.")
        content = read_text(path)
        if path.suffix != ".toml":
            whole = content.rstrip("\n")
            return Prompt(path.stem, whole.partition("\n")[0][:60], whole)
        table = parse(content)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"{path} cannot be used as a prompt: {error}.") from None
    text, defaults = table.get("text"), table.get("variables", {})
    if not isinstance(text, str) or not isinstance(defaults, dict):
        raise BadInput(f"{path} needs a `text`, and `variables` as a table.")
    title = str(table.get("title") or path.stem)
    return Prompt(path.stem, title, text.rstrip("\n"), {str(name): str(value) for name, value in defaults.items()})


def given_values(argument: str) -> tuple[dict[str, str], str]:
    """`name=value` pairs, quoted where there are spaces, from the beginning of `argument`, and what is behind them."""
    values: dict[str, str] = {}
    while match := _GIVEN.match(argument):
        quoted = [value for value in (match[3], match[4]) if value is not None]
        values[match[1]] = quoted[0] if quoted else match[2]
        argument = argument[match.end() :]
    return values, argument

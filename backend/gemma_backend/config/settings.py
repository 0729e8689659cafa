"""Settings: the models that define every key, and the rule by which flags, environment, file and defaults combine."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gemma_backend.config.formats import SETTINGS, bring_up, current
from gemma_backend.config.lines import line_of
from gemma_backend.config.nearest import nearest
from gemma_backend.config.paths import config_dir
from gemma_backend.config.toml_text import read_text
from gemma_backend.types.errors import UsageError

PREFIX = "GEMMA_TUI_"


class Section(BaseModel):
    """A table of settings; unknown keys are an error, so that a slip of the pen is never silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ChatSettings(Section):
    """How replies are sampled; a key left out leaves the server's default."""

    max_tokens: int | None = Field(default=None, gt=0)
    """Longest reply in tokens; without it the server's rest of the context."""
    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature; 0 is greedy."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Nucleus sampling: the share of probability to choose from."""
    seed: int | None = None
    """Seed of the sampler."""
    stall_timeout: float = Field(default=120.0, gt=0)
    """Seconds without a byte from the server after which a reply counts as broken off."""


class CompletionSettings(Section):
    """How the completion studio begins."""

    preset: str | None = None
    """Preset to begin with; without one what `chat` says, and the server's defaults."""


class UiSettings(Section):
    """How the screen looks and behaves."""

    theme: str = "gemma-dark"
    """Name of the theme: `gemma-dark`, `gemma-light`, `gemma-high-dark`, `gemma-high-light`, or any of Textual's."""
    dashboard: bool = True
    """Whether the dashboard is open at the start where there is room for it."""
    mouse: bool = True
    """Whether the mouse is used; off leaves selection to the terminal."""
    pictures: Literal["auto", "kitty", "sixel", "blocks", "none"] = "auto"
    """How pictures are drawn: kitty's protocol, sixel, half blocks, not at all; `auto` asks the terminal."""


class EngineSettings(Section):
    """What becomes of an engine when nobody uses it."""

    on_quit: Literal["ask", "keep", "stop"] = "ask"
    """Whether an engine that the screen started stays when it is left; `ask` asks, and writes the answer here."""
    idle_minutes: float = Field(default=30.0, ge=0)
    """Minutes without use after which an engine that stays is stopped; 0 for never."""
    sleep_minutes: float = Field(default=5.0, ge=0)
    """Minutes without use after which one on a GPU gives its memory back (vLLM's sleep mode); 0 for never."""


class HistorySettings(Section):
    """What is kept of conversations."""

    keep: bool = True
    """Whether conversations are written to the history; `--no-history` is the same for one run."""


class MediaSettings(Section):
    """Pictures and clips."""

    soft_tokens: Literal[70, 140, 280, 560, 1120] | None = None
    """Soft tokens for each picture; without it the server's own number."""
    microphone: str = ""
    """What to record from: a source of PulseAudio or PipeWire, or an ALSA device; empty is the system's choice."""

    @field_validator("soft_tokens", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        # A variable holds text, and a literal is not converted.
        return int(value) if isinstance(value, str) and value.isdecimal() else value


class Settings(Section):
    """Everything that `config.toml` can hold."""

    format_version: Literal[1] = 1
    """Version of this file's format."""
    profile: str = "auto"
    """Profile to start; `auto` chooses by what the machine has."""
    gpu: int | None = Field(default=None, ge=0)
    """GPU to run on, by the number that nvidia-smi shows; without it the one with most free memory."""
    without_gpu: Literal["pocket", "cpu"] = "pocket"
    """What `auto` starts where no GPU fits: the pocket checkpoint, or `cpu`, the full model on the CPU."""
    chat: ChatSettings = ChatSettings()
    completion: CompletionSettings = CompletionSettings()
    ui: UiSettings = UiSettings()
    media: MediaSettings = MediaSettings()
    history: HistorySettings = HistorySettings()
    engine: EngineSettings = EngineSettings()
    profiles: dict[str, dict[str, Any]] = {}
    """The person's own profiles, one table each."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings and, for each dotted key, where its value came from."""

    settings: Settings
    sources: dict[str, str]


def config_file() -> Path:
    """Path of the person's `config.toml`, whether it is there or not."""
    return config_dir() / "config.toml"


def load(
    flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None, *, rewrite: bool = True
) -> Resolved:
    """Combine `flags` (dotted keys; None is "not given"), `GEMMA_TUI_*`, `config.toml` and the defaults, in this order.

    A variable is the dotted key in capitals with `_` for the dot: `GEMMA_TUI_CHAT_MAX_TOKENS`. With `rewrite` a file of
    an older format is brought to the newest.
    Raises UsageError with file, key and the nearest known one.
    """
    environ = os.environ if environ is None else environ
    path = config_file()
    sources = dict.fromkeys(known_keys(), "default")
    text = _read(path)
    table, older = _parsed(path, text)
    for key in _leaves(table):
        sources[key] = f"file {path}"
    for key in known_keys():
        value = environ.get(PREFIX + key.upper().replace(".", "_"))
        if value is not None:
            _put(table, key, value)
            sources[key] = f"environment {PREFIX}{key.upper().replace('.', '_')}"
    for key, given in (flags or {}).items():
        if given is not None:
            _put(table, key, given)
            sources[key] = "flag"
    try:
        found = Resolved(Settings.model_validate(table), sources)
    except ValidationError as error:
        raise UsageError(explain(error, sources, known_keys(), str(path), text)) from None
    # Only a file without a mistake is written to: a sentence about one names the lines that the person wrote.
    if older and rewrite:
        bring_up(SETTINGS, path)
    return found


def known_keys() -> list[str]:
    """Every dotted key that a setting has, the profiles' tables left out."""
    return [key for key in model_keys(Settings) if key != "profiles"]


def explain(
    error: ValidationError, sources: Mapping[str, str], known: list[str], place: str, text: str = "", prefix: str = ""
) -> str:
    """One sentence for the first mistake that pydantic found: where, what, and the nearest key that exists."""
    return sentence(error.errors(include_url=False, include_input=False)[0], sources, known, place, text, prefix)


def sentence(
    detail: Mapping[str, Any],
    sources: Mapping[str, str],
    known: list[str],
    place: str,
    text: str = "",
    prefix: str = "",
) -> str:
    """One sentence for one of pydantic's details; `text` is the file's, in which keys begin with `prefix`."""
    key = ".".join(str(part) for part in detail["loc"])
    where = sources.get(key, f"file {place}")
    line = line_of(text, prefix + key) if where.startswith("file ") else None
    where += f", line {line}" if line is not None else ""
    if detail["type"] == "extra_forbidden":
        guess = nearest(key, known)
        return f"{where}: there is no setting {key!r}" + (f"; did you mean {guess!r}?" if guess else ".")
    reason = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{where}: the value of {key!r} does not fit: {reason}."


def _read(path: Path) -> str:
    try:
        return read_text(path)
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no valid TOML: {error}. Mend the file or move it away.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


def _parsed(path: Path, text: str) -> tuple[dict[str, Any], bool]:
    """The table in the newest form, and whether the file is of an older one."""
    try:
        newest, table = current(SETTINGS, path, text)
        return table, newest != text
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no valid TOML: {error}. Mend the file or move it away.") from None


def _put(table: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        inner = table.setdefault(parent, {})
        if not isinstance(inner, dict):
            return
        table = inner
    table[last] = value


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, Mapping) and name != "profiles":
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def model_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key below `model`."""
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from model_keys(annotation, f"{prefix}{name}.")
        else:
            yield prefix + name

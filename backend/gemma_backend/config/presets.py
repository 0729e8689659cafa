"""Presets of the completion studio: how a text is continued, as data that ships or that a person saves."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gemma_assets import path as asset
from gemma_backend.config.nearest import nearest
from gemma_backend.config.paths import config_dir, ensure
from gemma_backend.config.settings import explain
from gemma_backend.config.toml_text import parse, read_text
from gemma_backend.types import BadInput, EngineError, Options, Sampling, UsageError

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


class Controls(BaseModel):
    """How a raw text is continued; a control left out leaves the server's default."""

    # The texts under the fields are what the screen says of them.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    """Longest continuation in tokens; without it 512."""
    temperature: float | None = Field(default=None, ge=0, le=10)
    """0 always takes the likeliest token; above 1 unlikely ones come up more."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Choose among the likeliest tokens that share this much of the probability."""
    top_k: int | None = Field(default=None, ge=0, le=100_000)
    """Choose among this many of the likeliest tokens; 0 is all."""
    min_p: float | None = Field(default=None, ge=0, le=1)
    """Leave out tokens below this share of the likeliest one's probability."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """The same seed draws the same tokens again."""
    stop: tuple[str, ...] = Field(default=(), max_length=16)
    """Texts before which the model stops."""
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    """Above 1 tokens that are in the text already become less likely."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    """Taken from the logit of every token that was generated before."""
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    """The same for each time that it was."""
    logprobs: int = Field(default=5, ge=0, le=20)
    """How many likely tokens to show for each place; 0 asks for no probabilities."""
    alternatives: int = Field(default=3, ge=2, le=16)
    """How many continuations to write side by side."""
    bos: bool = True
    """Whether the server puts the beginning-of-sequence token in front."""
    echo: bool = False
    """Whether the server gives the prompt back, with the probabilities of its tokens."""

    @property
    def sampling(self) -> Sampling:
        """The part that says how tokens are chosen."""
        return Sampling(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            seed=self.seed,
            stop=self.stop,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            repetition_penalty=self.repetition_penalty,
        )

    def options(self, n: int = 1) -> Options:
        """The part that says what else is asked for, with `n` alternatives."""
        return Options(n=n, logprobs=self.logprobs or None, echo=self.echo, add_special_tokens=self.bos)

    def changed(self, name: str, value: object) -> Controls:
        """These controls with one of another value; raises BadInput with what it can be."""
        try:
            return Controls.model_validate(self.model_dump() | {name: value})
        except ValidationError as error:
            reason = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise BadInput(f"{words(name)}: {reason[0].lower()}{reason[1:]}.") from None

    def summary(self) -> str:
        """What differs from the defaults, in a line."""
        shown = []
        for name in Controls.model_fields:
            value = getattr(self, name)
            if value != Controls.model_fields[name].default and name not in ("bos", "echo"):
                shown.append(f"{words(name)} {shown_value(value)}")
        return " · ".join(shown)


class Preset(BaseModel):
    """Controls under a name; `shipped` ones cannot be deleted, only replaced."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str = ""
    controls: Controls
    shipped: bool = False


def list_presets() -> tuple[list[Preset], list[str]]:
    """Every preset, shipped ones first, one of the person's own in place of a shipped one of its name.

    The second list has a sentence for each file that cannot be used: one bad file does not hide the others.
    """
    found: dict[str, Preset] = {}
    faults: list[str] = []
    for folder, shipped in ((asset("presets"), True), (folder_of_presets(), False)):
        for path in sorted(folder.glob("*.toml")):
            try:
                found[path.stem] = _read(path, shipped)
            except UsageError as error:
                faults.append(str(error))
    return list(found.values()), faults


def load_preset(name: str) -> Preset:
    """The preset called `name`; raises UsageError with the nearest name where there is none."""
    presets = {preset.name: preset for preset in list_presets()[0]}
    if name in presets:
        return presets[name]
    guess = nearest(name, presets)
    raise UsageError(
        f"there is no preset {name!r}; " + (f"did you mean {guess!r}?" if guess else f"there are {', '.join(presets)}.")
    )


def save_preset(name: str, controls: Controls, title: str = "") -> Path:
    """Write `controls` under `name` in the configuration folder; raises BadInput for a name that is none."""
    if not NAME.fullmatch(name):
        raise BadInput("A preset's name is of small letters, digits, dots and dashes: choose another.")
    lines = [f"title = {_toml(title)}"] if title else []
    for key, value in controls.model_dump(exclude_defaults=True).items():
        lines.append(f"{key} = {_toml(value)}")
    path = folder_of_presets() / f"{name}.toml"
    try:
        folder = ensure(path.parent)
        handle, written = tempfile.mkstemp(dir=folder, prefix=f".{name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write("\n".join(lines) + "\n")
            Path(written).replace(path)
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise EngineError(f"The preset cannot be written to {path} ({reason}): see to the folder.") from None
    return path


def delete_preset(name: str) -> bool:
    """Delete the person's own preset called `name`; whether there was one."""
    path = folder_of_presets() / f"{name}.toml"
    if not NAME.fullmatch(name) or not path.is_file():
        return False
    try:
        path.unlink()
    except OSError as error:
        raise EngineError(f"{path} cannot be deleted: {error.strerror}.") from None
    return True


def folder_of_presets() -> Path:
    """Where the person's own presets are, whether the folder is there or not."""
    return config_dir() / "presets"


def words(name: str) -> str:
    """A control's name as a person reads it."""
    return {"top_p": "top-p", "top_k": "top-k", "min_p": "min-p", "bos": "BOS"}.get(name, name.replace("_", " "))


def shown_value(value: object) -> str:
    """A control's value as a person reads and types it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(json.dumps(text, ensure_ascii=False) for text in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _read(path: Path, shipped: bool) -> Preset:
    try:
        table = parse(read_text(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no valid TOML: {error}. Mend the file or move it away.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    title = table.pop("title", "")
    try:
        controls = Controls.model_validate(table)
    except ValidationError as error:
        raise UsageError(explain(error, {}, list(Controls.model_fields), str(path))) from None
    return Preset(name=path.stem, title=title if isinstance(title, str) else "", controls=controls, shipped=shipped)


def _toml(value: Any) -> str:
    # JSON's strings, numbers and lists are TOML's too, but for pairs of surrogates and for DEL unescaped.
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")

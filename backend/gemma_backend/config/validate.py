"""Everything that is wrong with the configuration, not only the first thing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gemma_backend.config.formats import PROFILE, SETTINGS, refuse_newer
from gemma_backend.config.paths import config_dir
from gemma_backend.config.profiles import Profile, list_profiles
from gemma_backend.config.settings import Settings, config_file, model_keys, sentence
from gemma_backend.config.toml_text import parse, read_text
from gemma_backend.types.errors import UsageError


def problems(file: Path | None = None) -> tuple[list[Path], list[str]]:
    """The files that were looked at, and a sentence for each mistake in them.

    Without `file` they are `config.toml` and the person's profiles; a `file` is a profile if it says what is served.
    UsageError for a file that is not there.
    """
    if file is not None:
        if not file.is_file():
            raise UsageError(f"There is no file {file}.")
        return [file], _file(file, profile=None)
    files = [path for path in (config_file(), *sorted((config_dir() / "profiles").glob("*.toml"))) if _there(path)]
    found = [problem for path in files for problem in _file(path, profile=path != config_file())]
    return files, found or _reference(files)


def _there(path: Path) -> bool:
    """Whether something has that name, also a link that leads nowhere."""
    return path.exists() or path.is_symlink()


def _file(path: Path, profile: bool | None) -> list[str]:
    try:
        text = read_text(path)
        table = parse(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [f"{path} is no valid TOML: {error}."]
    except OSError as error:
        return [f"{path} cannot be read: {error.strerror}."]
    if profile is None:
        profile = path.parent.name == "profiles" or "checkpoint" in table or "url" in table
    try:
        refuse_newer(PROFILE if profile else SETTINGS, table, path)
    except UsageError as error:
        return [str(error)]
    if profile:
        return _wrong(Profile, {"name": path.stem} | table, path, text)
    found = _wrong(Settings, table, path, text)
    own = table.get("profiles")
    for name, inner in own.items() if isinstance(own, dict) else ():
        if isinstance(inner, dict):
            found += _wrong(Profile, {"name": name} | inner, path, text, f"profiles.{name}.")
    return found


def _wrong(model: type[BaseModel], table: dict[str, Any], path: Path, text: str, prefix: str = "") -> list[str]:
    try:
        model.model_validate(table)
    except ValidationError as error:
        known = [key for key in model_keys(model) if key != "profiles"]
        details = error.errors(include_url=False, include_input=False)
        return [sentence(detail, {}, known, str(path), text, prefix) for detail in details]
    return []


def _reference(files: list[Path]) -> list[str]:
    """A profile to start that does not exist."""
    if config_file() not in files:
        return []
    wanted = parse(read_text(config_file())).get("profile", "auto")
    names = [profile.name for profile in list_profiles()]
    if wanted == "auto" or wanted in names:
        return []
    from gemma_backend.config.nearest import nearest

    guess = nearest(str(wanted), names)
    return [f"{config_file()}: there is no profile {wanted!r}" + (f"; did you mean {guess!r}?" if guess else ".")]

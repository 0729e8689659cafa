"""A report for whoever is asked for help: versions, findings, settings, phases and the last logs, without secrets."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import sys
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from gemma_backend.config import paths
from gemma_backend.config.settings import config_file, known_keys, load
from gemma_backend.engine.explain import explain
from gemma_backend.session.checkup import findings
from gemma_backend.session.machine import Facts
from gemma_backend.types import BadInput, GemmaError

LOGS = 3
LOG_BYTES = 2 << 20
HIDDEN = "[left out]"
_SECRET_NAME = re.compile(r"key|token|secret|password|passwd|credential|auth", re.IGNORECASE)
_SECRETS = (
    re.compile(r"(?P<keep>[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE),
    re.compile(r"(?P<keep>\bBearer\s+)[\w.~+/=-]{4,}", re.IGNORECASE),
    re.compile(r"(?P<keep>)\b(?:hf|sk|nvapi)[_-][\w-]{8,}"),
    re.compile(
        r"(?P<keep>['\"]?\b[\w-]*(?:api[_-]?key|token|secret|password)\b['\"]?\s*[:=]\s*['\"]?)(?!None\b|null\b)[^\s,'\"}]{4,}",
        re.IGNORECASE,
    ),
)
_PACKAGES = ("gemma-tui", "textual", "openai", "pydantic", "numpy", "pillow", "soundfile", "huggingface-hub")


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a report: its name in it, what it holds, and its text."""

    name: str
    about: str
    text: str


def items(facts: Facts) -> list[Item]:
    """Everything that a report holds, already without secrets and without the name of the person's home folder."""
    found = [
        Item("versions.json", "versions of the program, the system and the runtimes", _json(versions(facts))),
        Item("doctor.json", "what doctor finds", _json([dataclasses.asdict(one) for one in findings(facts)])),
        Item("config.json", "settings and the profile, without secrets", _json(configuration(facts))),
        *_logs(),
    ]
    return [dataclasses.replace(one, text=scrub(one.text, _known_secrets())) for one in found]


def write(target: Path, found: list[Item]) -> None:
    """Write a report as a zip file that only its owner can read; BadInput where it is there already or cannot be."""
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadInput(f"{target} is there already: name another file.") from None
    except OSError as error:
        raise BadInput(f"{target} cannot be written ({error.strerror}): name a file in a folder of yours.") from None
    with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in found:
            archive.writestr(one.name, one.text)


def versions(facts: Facts) -> dict[str, Any]:
    """Versions of everything that takes part."""
    own = {}
    for name in _PACKAGES:
        try:
            own[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    system = {"system": platform.platform(), "machine": platform.machine(), "python": sys.version.split()[0]}
    system |= {"libc": " ".join(platform.libc_ver()), "release": _release()}
    driver = facts.driver
    held = facts.installed.packages if facts.installed is not None else None
    return {
        "packages": own,
        "system": system,
        "gpus": [dataclasses.asdict(gpu) | {"uuid": None} for gpu in facts.gpus],
        "driver": dataclasses.asdict(driver) if driver is not None else None,
        "runtimes": [f"{one.name}: {one.kind}, {one.device}, {one.version}" for one in facts.runtimes],
        "runtime": dataclasses.asdict(held) | {"requires": None} if held is not None else None,
    }


def configuration(facts: Facts) -> dict[str, Any]:
    """Settings with where they came from, and the profile; values whose names speak of a secret are left out."""
    try:
        resolved = load()
    except GemmaError as error:
        return {"error": str(error)}
    settings = resolved.settings.model_dump(mode="json")
    rows = {key: {"value": _value(settings, key), "source": resolved.sources[key]} for key in known_keys()}
    profile = facts.profile.model_dump(mode="json") if facts.profile is not None else None
    return {"file": str(config_file()), "settings": _plain(rows), "profile": _plain(profile)}


def scrub(text: str, known: tuple[str, ...] = ()) -> str:
    """`text` without what looks like a key or a password, without the `known` ones, with `~` for the home folder."""
    for secret in known:
        text = text.replace(secret, HIDDEN)
    for pattern in _SECRETS:
        text = pattern.sub(lambda match: f"{match['keep']}{HIDDEN}", text)
    home = str(Path.home())
    return text if home == "/" else text.replace(home, "~")


def _known_secrets() -> tuple[str, ...]:
    """Values that must not go out whatever they look like: keys of this environment and of `serve`."""
    found = {value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= 8}
    try:
        found.add((paths.state_dir() / "serve.key").read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError):
        pass
    return tuple(sorted((one for one in found if len(one) >= 8 and not one.startswith("/")), key=len, reverse=True))


def _logs() -> list[Item]:
    folder = paths.log_dir()
    found: list[Item] = []
    engine = sorted((folder / "engine").glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in engine[:LOGS]:
        text = _tail(path)
        found.append(Item(f"logs/{path.name}", "an engine's log", text))
        told = dataclasses.asdict(explain(text))
        found.append(Item(f"phases/{path.stem}.json", "its phases, and the cause if it failed", _json(told)))
    installations = sorted(folder.glob("install-*.log"))
    found += [Item(f"logs/{path.name}", "the log of an installation", _tail(path)) for path in installations]
    if (folder / "bugs.log").is_file():
        found.append(Item("logs/bugs.log", "reports of bugs of this program", _tail(folder / "bugs.log")))
    return found


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}\n"


def _release() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _value(settings: Any, key: str) -> Any:
    for part in key.split("."):
        settings = settings[part]
    return settings


def _plain(found: Any) -> Any:
    """`found` with the values under names that speak of secrets left out, however deep."""
    if isinstance(found, dict):
        return {
            key: HIDDEN if _SECRET_NAME.search(str(key)) and isinstance(value, str) and value else _plain(value)
            for key, value in found.items()
        }
    return [_plain(one) for one in found] if isinstance(found, list) else found


def _json(found: Any) -> str:
    return json.dumps(found, indent=1, default=str) + "\n"

"""Where a checkpoint lies on this machine; nothing is downloaded here."""

from __future__ import annotations

import json
import re
from pathlib import Path

from gemma_assets import path as asset
from gemma_backend.types import BadInput, EngineError

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
BUNDLED = "bundled:"


def locate(checkpoint: str, *, whole: bool = True) -> Path:
    """The folder of `checkpoint`: `bundled:NAME`, a path, or a repository id in the hub's cache (`@REVISION`).

    With `whole` false a folder is given that lacks weights files, too. Raises BadInput for a path that is no
    checkpoint, EngineError for one that has to be downloaded first.
    """
    if checkpoint.startswith(BUNDLED):
        return _bundled(checkpoint.removeprefix(BUNDLED))
    path = Path(checkpoint).expanduser()
    repository, _, revision = checkpoint.partition("@")
    if checkpoint.startswith(("/", ".", "~")) or path.is_dir() or not REPOSITORY.fullmatch(repository):
        return _folder(path, whole)
    from huggingface_hub import snapshot_download

    try:
        found = Path(snapshot_download(repository, revision=revision or None, local_files_only=True))
    except (OSError, ValueError):
        found = None
    if found is None or (whole and not has_weights(found)):
        raise EngineError(
            f"The checkpoint {checkpoint} is not on this computer: fetch it with `gemma-tui model pull {checkpoint}`."
        )
    return found


def has_weights(folder: Path) -> bool:
    """Whether config.json and every weights file that the index names are there."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return any(folder.glob("*.safetensors"))
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False
    return all((folder / str(name)).is_file() for name in names)


def has_chat_template(folder: Path) -> bool:
    """Whether the checkpoint brings a chat template of its own."""
    if any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template"))
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _bundled(name: str) -> Path:
    path = asset(name)
    if not has_weights(path):
        raise EngineError(f"The bundled checkpoint {name} is missing from this installation: install gemma-tui again.")
    return path


def _folder(path: Path, whole: bool) -> Path:
    if not path.exists():
        raise BadInput(f"There is no checkpoint at {path}: check the path.")
    if not path.is_dir():
        raise BadInput(f"{path} is a file: give the folder that holds config.json and the weights.")
    if not (path / "config.json").is_file():
        raise BadInput(f"{path} holds no config.json, so it is no checkpoint: give the folder that has it.")
    if whole and not has_weights(path):
        raise BadInput(f"{path} lacks weights files (*.safetensors): copy or download the checkpoint again.")
    return path.resolve()
